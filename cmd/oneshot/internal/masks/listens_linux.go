package masks

import (
	"errors"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// Signals has what the masks of a Go program's threads tell about its signals.
type Signals struct {
	Thread  int        // the runtime's signal thread; 0 if it is not known
	Listens sigset.Set // what the program listens to, except for what Hidden has
	Ignored sigset.Set
}

// Hidden are signals that programs often listen to, and of which the masks do not tell
// whether this one does.
const Hidden = sigset.Set(undetectable)

// ErrUnknown is the error for a program whose signal thread is not found.
var ErrUnknown = errors.New("no thread of it is for certain the runtime's signal thread")

// ReadSignals reads the masks of a Go program. If the error is ErrUnknown, Ignored is
// valid all the same.
func ReadSignals(pid int) (Signals, error) {
	s, err := readProcess(pid)
	if err != nil {
		return Signals{}, err
	}
	found := Signals{Ignored: sigset.Set(s.row("SigIgn"))}
	if !s.listening.known() {
		return found, ErrUnknown
	}
	found.Thread, found.Listens = s.listening.tid, sigset.Set(s.listening.set)
	return found, nil
}
