//go:build freebsd

package oneshot

import "golang.org/x/sys/unix"

// solLocal is SOL_LOCAL of sys/socket.h, which x/sys does not have for FreeBSD.
const solLocal = 0

func peerCred(fd int) (Cred, error) {
	x, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return Cred{}, err
	}
	return Cred{UID: int(x.Uid), GID: int(x.Groups[0])}, nil
}
