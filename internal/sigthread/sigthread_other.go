//go:build !linux

package sigthread

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// sigThread has no methods that work here: only Linux lets a process look at the
// runtime's signal thread.
type sigThread struct{}

func findSigThread() sigThread { return sigThread{} }

// Listens returns an error.
func (sigThread) Listens() (sigset.Set, error) {
	return 0, errors.New("only Linux shows which signals a Go program listens to")
}

// probe cannot find out here whether anybody else is notified of a signal.
type probe struct{ swallowed bool }

// MaxProbes is the number of probes that must agree. Here none is made.
const MaxProbes = 1

// NewProbe returns a probe that always answers Unknown.
func (sigThread) NewProbe() *probe { return &probe{} }

// Close does nothing.
func (*probe) Close() {}

func (*probe) subscribe(c chan os.Signal, sig syscall.Signal) Subscriber {
	signal.Notify(c, sig)
	return Unknown
}

func (*probe) ask(syscall.Signal, int) Subscriber { return Unknown }

func (sigThread) isIn(string) bool { return false }

// hidden is not used.
var hidden []syscall.Signal
