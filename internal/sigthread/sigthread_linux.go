package sigthread

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
)

// sigThread is the thread of the runtime that unblocks the signals of signal.Notify
// (ensureSigM in the runtime's signal_unix.go). It lives as long as the process. Two
// facts about it can be seen in /proc:
//
//   - The blockable signals that are missing from its SigBlk are those that the
//     program listens to.
//   - It runs when signal.Notify adds the first subscriber of a signal, and when
//     signal.Stop removes the last. It does not run for other subscribers.
//
// The zero value has no thread. Every answer is then Unknown.
type sigThread struct{ dir string } // /proc/self/task/TID

// The thread is found with real-time signals, from the last one downwards: programs
// that use real-time signals begin at SIGRTMIN.
const (
	firstProbeSignal = syscall.Signal(sigset.SigRTMax)
	lastProbeSignal  = syscall.Signal(sigset.SigRTMax - 7)
)

// findSigThread finds the thread and calibrates the probe with it: the thread must run
// for a first subscriber and must not run for a second. Otherwise findSigThread returns
// the zero value. It starts the runtime's signal goroutine if that does not run yet.
func findSigThread() sigThread {
	for sig := firstProbeSignal; sig >= lastProbeSignal; sig-- {
		if dir := threadThatUnblocks(sig); dir != "" {
			if t := (sigThread{dir}); t.calibrated(sig) {
				return t
			}
		}
	}
	return sigThread{}
}

// threadThatUnblocks returns the directory of the thread that blocks sig, except while
// somebody is notified of sig. It returns an empty string if there is no such thread, or
// more than one. There is none if the program itself listens to sig. A thread that is
// just being cloned blocks all signals for a moment, so the masks are read once more
// after signal.Stop.
func threadThatUnblocks(sig syscall.Signal) string {
	c := make(chan os.Signal, 1)
	signal.Notify(c, sig) // from here on the runtime's signal thread exists
	signal.Stop(c)
	before := threadsBlocking(sig, nil)
	if len(before) == 0 {
		return ""
	}
	signal.Notify(c, sig)
	still := threadsBlocking(sig, before)
	signal.Stop(c)
	after := threadsBlocking(sig, before)
	found := ""
	for dir := range after {
		if !still[dir] {
			if found != "" {
				return ""
			}
			found = dir
		}
	}
	return found
}

// threadsBlocking returns those of the given threads that block sig. If among is nil,
// it looks at all threads of the process.
func threadsBlocking(sig syscall.Signal, among map[string]bool) map[string]bool {
	if among == nil {
		among = make(map[string]bool)
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return nil
		}
		for _, e := range entries {
			among["/proc/self/task/"+e.Name()] = true
		}
	}
	blocking := make(map[string]bool)
	for dir := range among {
		if mask, err := BlockedBy(dir); err == nil && mask.Has(sig) {
			blocking[dir] = true
		}
	}
	return blocking
}

// BlockedBy returns the signals that a thread blocks. dir is its directory in
// /proc/self/task.
func BlockedBy(dir string) (sigset.Set, error) {
	status, err := procfs.ReadStatus(dir)
	if err != nil {
		return 0, err
	}
	mask, err := status.Mask("SigBlk")
	return sigset.Set(mask), err
}

// calibrated reports whether the probe can distinguish one subscriber of sig from two.
func (t sigThread) calibrated(sig syscall.Signal) bool {
	p := t.NewProbe()
	defer p.Close()
	if p.ask(sig, MaxProbes) != None {
		return false
	}
	c := make(chan os.Signal, 1)
	signal.Notify(c, sig)
	defer signal.Stop(c)
	return p.ask(sig, MaxProbes) == Other
}

// settleTime is the time in which the thread leaves its CPU after it has run. Until
// then, the kernel does not count another run.
const settleTime = 300 * time.Microsecond

// MaxProbes is the number of probes that must agree before the answer is Other. A
// single probe misses a run of the thread at most 8 times in 2,000 if the thread was at
// rest before, and more often right after the thread has run.
const MaxProbes = 3

// probe finds out whether anybody else in the process is notified of a signal.
type probe struct {
	file procfs.Schedstat
	ok   bool   // the file is open and has been read
	last uint64 // how often the thread had run at the last look

	swallowed bool // the signal arrived during ask, whose subscription has prevented its default action
}

// NewProbe returns a probe. The caller must close it.
func (t sigThread) NewProbe() *probe {
	if t.dir == "" {
		return &probe{}
	}
	file, err := procfs.OpenSchedstat(t.dir)
	if err != nil {
		return &probe{}
	}
	p := &probe{file: file, ok: true}
	p.moved()
	return p
}

// Close closes the files of the probe.
func (p *probe) Close() {
	if p.file != (procfs.Schedstat{}) {
		p.file.Close()
	}
}

// moved reports whether the thread has run since the last call of moved.
func (p *probe) moved() bool {
	runs, err := p.file.Runs()
	if err != nil {
		p.ok = false
		return false
	}
	before := p.last
	p.last = runs
	return runs != before
}

// subscribe calls signal.Notify(c, sig) and returns whether anybody else was subscribed
// to sig before. It first lets the thread come to rest.
func (p *probe) subscribe(c chan os.Signal, sig syscall.Signal) Subscriber {
	if p.ok {
		time.Sleep(settleTime)
		p.moved()
	}
	signal.Notify(c, sig)
	switch {
	case !p.ok:
		return Unknown
	case p.moved():
		return None
	case !p.ok:
		return Unknown
	}
	return Other
}

// ask returns the answer of subscribe, but does not stay subscribed. It asks again while
// the answer is Other, up to the given number of times in all.
func (p *probe) ask(sig syscall.Signal, times int) (answer Subscriber) {
	for range times {
		c := make(chan os.Signal, 1)
		answer = p.subscribe(c, sig)
		signal.Stop(c)
		p.swallowed = p.swallowed || len(c) > 0
		if answer != Other {
			break
		}
	}
	return answer
}

// Listens returns the signals that the program is notified of, as far as the thread's
// mask shows them. The thread never blocks the signals of sigset.NeverBlocked (HUP, INT,
// QUIT, TERM, those of faults and the runtime's own), so the mask does not show whether
// the program listens to them.
func (t sigThread) Listens() (sigset.Set, error) {
	if t.dir == "" {
		return 0, fmt.Errorf("the runtime's signal thread was not found")
	}
	const tries, handling = 1000, time.Millisecond // on a busy machine the thread may lose its CPU in a handler
	for range tries {
		blocked, err := BlockedBy(t.dir)
		if err != nil {
			return 0, err
		}
		// While the thread is in a signal handler, it blocks all signals.
		if !blocked.Has(syscall.SIGHUP) {
			return ^blocked &^ sigset.NeverBlocked, nil
		}
		time.Sleep(handling)
	}
	return 0, fmt.Errorf("the runtime's signal thread handles one signal after another")
}

// isIn reports whether dir is the thread's directory.
func (t sigThread) isIn(dir string) bool { return t.dir != "" && t.dir == dir }

// hidden are signals that a program may wait for and that Listens cannot see.
var hidden = [...]syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGCHLD, syscall.SIGABRT}
