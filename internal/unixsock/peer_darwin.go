package unixsock

import "golang.org/x/sys/unix"

// Peer returns the process and the user that connected a client's socket, as the
// kernel reports them. The pid is 0 if the kernel does not report it.
func Peer(fd int) (pid, uid, gid int, err error) {
	x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	if pid, err = unix.GetsockoptInt(fd, unix.SOL_LOCAL, unix.LOCAL_PEERPID); err != nil {
		pid = 0
	}
	return pid, int(x.Uid), int(x.Groups[0]), nil
}
