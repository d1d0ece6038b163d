package unixsock

import "golang.org/x/sys/unix"

// Peer returns the process and the user that connected a client's socket. The
// kernel translates them to the namespaces of this process. The pid is 0 if the
// kernel does not report it.
func Peer(fd int) (pid, uid, gid int, err error) {
	u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	return int(u.Pid), int(u.Uid), int(u.Gid), nil
}
