//go:build !(linux || darwin || freebsd)

package oneshot

import (
	"os"
	"time"
)

// Here the package only builds: Install returns ErrUnsupported before any of
// these is called.

const (
	supported     = false
	maxSocketPath = 0
)

type (
	inode    struct{}
	listener struct{}
)

func listenAt(string) (*listener, error)       { return nil, ErrUnsupported }
func (*listener) acceptNow() (int, error)      { return -1, ErrUnsupported }
func (*listener) waiting() bool                { return false }
func (*listener) startWaiting(time.Time)       {}
func (*listener) setDeadline(time.Time)        {}
func (*listener) accept() (int, error)         { return -1, ErrUnsupported }
func (*listener) turnAway(func(int))           {}
func (*listener) abandon()                     {}
func (*listener) close()                       {}
func inodeAt(string) (inode, uint32, error)    { return inode{}, 0, ErrUnsupported }
func ownedBy(os.FileInfo, int) bool            { return false }
func moveSocket(_, _ string) error             { return ErrUnsupported }
func socketInUse(string) (bool, error)         { return false, ErrUnsupported }
func checkDirWritable(string) error            { return ErrUnsupported }
func peerName(int) string                      { return "" }
func shutdownWriting(int) error                { return ErrUnsupported }
func hungUp(uintptr) bool                      { return true }
func readSocket(uintptr, []byte) (int, error)  { return 0, ErrUnsupported }
func writeSocket(uintptr, []byte) (int, error) { return 0, ErrUnsupported }
func peerCred(int) (Cred, error)               { return Cred{}, ErrUnsupported }
