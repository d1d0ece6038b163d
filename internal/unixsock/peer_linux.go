package unixsock

import "golang.org/x/sys/unix"

// Peer returns who connected a client's socket, as the kernel of this process
// sees it. The pid is 0 where the kernel does not say it.
func Peer(fd int) (pid, uid, gid int, err error) {
	u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	return int(u.Pid), int(u.Uid), int(u.Gid), nil
}
