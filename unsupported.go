//go:build !(linux || darwin || freebsd)

package oneshot

import (
	"net"
	"syscall"
)

// Here the package only builds: Install returns ErrUnsupported before any of
// these is called.

const (
	supported     = false
	maxSocketPath = 0
)

func socketInUse(string) (bool, error)                  { return false, ErrUnsupported }
func checkDirWritable(string) error                     { return ErrUnsupported }
func hungUp(uintptr) bool                               { return true }
func readSocket(uintptr, []byte) (int, error)           { return 0, ErrUnsupported }
func writeSocket(uintptr, []byte) (int, error)          { return 0, ErrUnsupported }
func raiseSignal(syscall.Signal) error                  { return ErrUnsupported }
func systemSignalName(sig syscall.Signal) string        { return "" }
func notForUse(syscall.Signal) string                   { return "" }
func peerCred(int) (Cred, error)                        { return Cred{}, ErrUnsupported }
func restrictMode(_, _ string, _ syscall.RawConn) error { return ErrUnsupported }
func restrictFile(string) error                         { return ErrUnsupported }
func moveSocket(_, _ string) error                      { return ErrUnsupported }
func turnAway(*net.UnixListener, string)                {}
