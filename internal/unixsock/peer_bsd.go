//go:build freebsd

package unixsock

import "golang.org/x/sys/unix"

// solLocal is SOL_LOCAL of sys/socket.h, which x/sys does not have for FreeBSD.
const solLocal = 0

// Peer returns the process and the user that connected a client's socket, as the
// kernel reports them. The pid is always 0 on FreeBSD.
func Peer(fd int) (pid, uid, gid int, err error) {
	x, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, 0, 0, err
	}
	return 0, int(x.Uid), int(x.Groups[0]), nil
}
