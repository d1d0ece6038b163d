//go:build !linux

package sigthread

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// sigThread stands for the runtime's signal thread, which only Linux lets a
// process look at.
type sigThread struct{}

func findSigThread() sigThread { return sigThread{} }

func (sigThread) Listens() (sigset.Set, error) {
	return 0, errors.New("only Linux shows which signals a Go program listens to")
}

// probe cannot tell here who else is notified of a signal.
type probe struct{ swallowed bool }

const MaxProbes = 1

func (sigThread) NewProbe() *probe { return &probe{} }

func (*probe) Close() {}

func (*probe) Subscribe(c chan os.Signal, sig syscall.Signal, _ int) Subscriber {
	signal.Notify(c, sig)
	return Unknown
}

func (*probe) ask(syscall.Signal, int) Subscriber { return Unknown }

func (sigThread) isIn(string) bool { return false }
