package oneshot

import (
	"errors"
	"fmt"
	"os"

	"github.com/gomanhole/oneshot/internal/unixsock"
	"github.com/gomanhole/oneshot/internal/values"
)

// Cred identifies a client: the process that connected, and its effective user and
// group at that time, as the kernel of this process sees them (SO_PEERCRED,
// unix(7); LOCAL_PEERCRED on FreeBSD and darwin). PID is 0 if the kernel does not
// report it, or if the client's pid namespace is not visible from here.
type Cred struct{ PID, UID, GID int }

// overflowUID is the uid that the kernel shows for a user that a user namespace
// does not map (proc(5), overflowuid). It identifies nobody, so it is never allowed
// to enter. A sysctl can change the value; in practice nobody does that.
const overflowUID = 65534

// SameUserOrRoot returns nil for root and for clients whose uid is the effective
// uid of this process. It refuses the overflow uid 65534 even if that is the
// process's own uid: every user that the namespace does not map has this uid.
func SameUserOrRoot(c Cred) error {
	return sameUserOrRoot(c, os.Geteuid())
}

func sameUserOrRoot(c Cred, own int) error {
	switch {
	case c.UID == overflowUID:
		return fmt.Errorf("uid %d stands for every user that this user namespace does not map", c.UID)
	case c.UID == own || c.UID == 0:
		return nil
	}
	return fmt.Errorf("uid %d is neither the process's uid %d nor root", c.UID, own)
}

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
	w.stepAside()
	answer := make(chan error, 1)
	go func() { // not ours.Go: if the function blocks, a dump should show it
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
	select {
	case err = <-answer:
		return cred, err
	case <-w.over:
		return cred, w.why()
	}
}
