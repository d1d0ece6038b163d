package unixsock

import "golang.org/x/sys/unix"

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
