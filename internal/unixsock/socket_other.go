//go:build !(linux || darwin || freebsd)

package unixsock

import (
	"errors"
	"os"
	"time"
)

// On this system the package only builds. Nothing calls these functions; see the
// files for other systems for what they do.

// Supported is false: there is no manhole on this system. MaxPath is not used.
const (
	Supported = false
	MaxPath   = 0
)

type (
	// ID is not used.
	ID struct{}
	// Listener is not used.
	Listener struct {
		FD int
		ID ID
	}
)

func Listen(string) (*Listener, error)        { return nil, errors.ErrUnsupported }
func (*Listener) AcceptNow() (int, error)     { return -1, errors.ErrUnsupported }
func (*Listener) Waiting() bool               { return false }
func (*Listener) StartWaiting(time.Time)      {}
func (*Listener) SetDeadline(time.Time)       {}
func (*Listener) Accept() (int, error)        { return -1, errors.ErrUnsupported }
func (*Listener) TurnAway(func(int))          {}
func (*Listener) Abandon()                    {}
func (*Listener) Close()                      {}
func DeadAt(string) (os.FileInfo, error)      { return nil, errors.ErrUnsupported }
func IDAt(string) (ID, os.FileMode, error)    { return ID{}, 0, errors.ErrUnsupported }
func Remove(string, ID) error                 { return errors.ErrUnsupported }
func OwnedBy(os.FileInfo, int) bool           { return false }
func Move(_, _ string) error                  { return errors.ErrUnsupported }
func CheckWritable(string) error              { return errors.ErrUnsupported }
func PeerName(int) string                     { return "" }
func CloseWrite(int) error                    { return errors.ErrUnsupported }
func HangUp(*os.File)                         {}
func HungUp(uintptr) bool                     { return true }
func Read(uintptr, []byte) (int, error)       { return 0, errors.ErrUnsupported }
func Write(uintptr, []byte) (int, error)      { return 0, errors.ErrUnsupported }
func Peer(int) (pid, uid, gid int, err error) { return 0, 0, 0, errors.ErrUnsupported }

// Pair returns an error: it is not written for this system.
func Pair() ([2]int, error) { return [2]int{}, errors.ErrUnsupported }
