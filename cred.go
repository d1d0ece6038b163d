package oneshot

import (
	"errors"
	"fmt"
	"time"

	"github.com/gomanhole/oneshot/internal/access"
	"github.com/gomanhole/oneshot/internal/unixsock"
	"github.com/gomanhole/oneshot/internal/values"
)

// Cred identifies a client: the process that connected, and its effective user and
// group at that time, as the kernel of this process sees them (SO_PEERCRED,
// unix(7); LOCAL_PEERCRED on FreeBSD and darwin). PID is 0 if the kernel does not
// report it, or if the client's pid namespace is not visible from here.
type Cred struct{ PID, UID, GID int }

// SameUserOrRoot returns nil for root and for clients whose uid is the effective uid
// of this process. It admits only root if the process may do more than its user,
// because then the kernel does not let its user trace it either: if the process has
// capabilities other than CAP_NET_BIND_SERVICE, was started with more rights than
// its user has (set-user-ID, file capabilities), or may not be traced
// (PR_SET_DUMPABLE). Capabilities in a user namespace that its user has created do
// not count. The uid 65534 is refused, even if it is the process's own, where it
// stands for every user that the process's user namespace does not map.
func SameUserOrRoot(c Cred) error { return access.Check(c.UID) }

// authorize decides whether a client that has connected may enter.
func (w *window) authorize(client int) (Cred, error) {
	var cred Cred
	var err error
	if cred.PID, cred.UID, cred.GID, err = unixsock.Peer(client); err != nil {
		return cred, fmt.Errorf("the kernel does not say who the client is: %w", err)
	}
	if w.host.opts.Authorize == nil {
		return cred, SameUserOrRoot(cred)
	}
	// Authorize is a function of the program. If it panics, blocks or ends its
	// goroutine, the client is not let in and the program continues.
	w.handOverReceiver()
	if w.host.asking.Load() >= maxAbandoned {
		return cred, fmt.Errorf("%d calls of the Authorize function have not returned; no other is begun", maxAbandoned)
	}
	w.host.asking.Add(1)
	answer := make(chan error, 1)
	go func() { // not ours.Go: if the function blocks, a dump should show it
		defer w.host.asking.Add(-1)
		err := errors.New("the Authorize function ended its goroutine")
		defer func() { answer <- err }()
		defer func() { // apart from the above, since the text of a panic may be made by the program's code
			if v := recover(); v != nil {
				err = errors.New("the Authorize function panicked: " + values.Failure(v))
			}
		}()
		refusal := w.host.opts.Authorize(cred)
		err = values.Contain(refusal)
	}()
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	for {
		select {
		case err = <-answer:
			return cred, err
		case <-w.over:
			return cred, w.why()
		case <-tick.C:
		}
		if unixsock.HungUp(uintptr(client)) {
			return cred, errors.New("the client has gone before the Authorize function returned")
		}
		if sig := w.guard.Fired(); sig != 0 {
			w.shut(closedBy{sig})
		}
		w.checkDeadline()
	}
}

// askInterval is the time between two looks whether a client still waits for the
// Authorize function.
const askInterval = 50 * time.Millisecond
