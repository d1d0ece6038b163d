package masks

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
)

// readProcess reads the masks of a process and its threads.
func readProcess(pid int) (*subject, error) {
	p, err := discovery.Read(pid)
	s := &subject{name: fmt.Sprintf("process %d", pid), proc: p, kind: goProgram}
	switch {
	case errors.Is(err, discovery.ErrNotPermitted):
		s.kind = unknownProgram
	case err != nil:
		return nil, err
	case !p.IsGo || p.Library != "":
		s.kind = otherProgram
	}
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := procfs.ReadStatus(dir)
	if err != nil {
		return nil, processError(pid, err)
	}
	for _, r := range processRows {
		mask, err := status.Mask(r.name)
		if err != nil {
			return nil, processError(pid, err)
		}
		r.set = oneshot.SignalSet(mask)
		s.rows = append(s.rows, r)
	}
	if s.threads, err = readThreads(pid); err != nil {
		return nil, processError(pid, err)
	}
	// If the start time has changed, another process has the pid now.
	if start, err := procfs.StartTime(dir); err != nil || start != p.Start {
		return nil, processError(pid, cmp.Or(err, discovery.ErrNoProcess))
	}
	if s.kind == goProgram {
		s.listening = findListening(s.threads)
	}
	return s, nil
}

func processError(pid int, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		err = discovery.ErrNoProcess
	}
	return fmt.Errorf("process %d: %w", pid, err)
}

// neverBlocked are the signals that the runtime never blocks on its signal thread,
// whether the program listens to them or not.
var neverBlocked = oneshot.SignalSet(sigset.NeverBlocked)

// findListening finds the runtime's signal thread by its mask. That thread blocks no
// signal of neverBlocked (except SIGURG under GODEBUG=asyncpreemptoff=1). It blocks
// most of the others, namely those that the program does not listen to. The thread of
// a manhole's session may look the same. It blocks at least the same signals, and
// usually more.
func findListening(threads []thread) listening {
	const urgent = oneshot.SignalSet(1 << (syscall.SIGURG - 1))
	var candidates []thread
	for _, t := range threads {
		if t.blocked&neverBlocked&^urgent == 0 && count(t.blocked&^neverBlocked) >= count(^neverBlocked)/2 {
			candidates = append(candidates, t)
		}
	}
	if len(candidates) == 0 {
		return listening{}
	}
	least := slices.MinFunc(candidates, func(a, b thread) int { return count(a.blocked) - count(b.blocked) })
	l := listening{tid: least.tid, set: ^least.blocked &^ neverBlocked, others: len(candidates) - 1}
	for _, t := range candidates {
		// Only a thread that blocks everything is certainly not the signal thread.
		if t.tid != least.tid && (t.blocked == least.blocked || t.blocked|neverBlocked != ^oneshot.SignalSet(0)) {
			l.unsure = true
		}
	}
	return l
}
