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

// sigThread is the one thread of the runtime that unblocks the signals which
// somebody has notified (ensureSigM in the runtime's signal_unix.go). It does
// two things that can be seen in /proc: the blockable signals missing from its
// SigBlk are those that the program listens to, and it runs when signal.Notify
// gets the first subscriber of a signal, or signal.Stop takes the last, and for
// no subscriber between. The thread lives as long as the process.
//
// The zero value knows no thread and answers unknown to everything.
type sigThread struct{ dir string } // /proc/self/task/TID

// Probes are made with real-time signals, from the last downwards: programs
// that use any begin at SIGRTMIN.
const (
	firstProbeSignal = syscall.Signal(sigset.SigRTMax)
	lastProbeSignal  = syscall.Signal(sigset.SigRTMax - 7)
)

// findSigThread finds the thread and calibrates the probe on it: a first
// Subscriber has to move the thread and a second must not, or else the answer
// is unknown. It starts the runtime's signal goroutine where nothing has yet.
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

// threadThatUnblocks returns the folder of the only thread whose mask loses
// sig while somebody is notified of it, and gets it back afterwards. There is
// none where the program listens to sig itself. A thread that is just being
// cloned has everything blocked for a moment, hence the second look.
func threadThatUnblocks(sig syscall.Signal) string {
	c := make(chan os.Signal, 1)
	signal.Notify(c, sig) // the runtime's thread exists from here on
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

// threadsBlocking returns the threads that block sig, out of those given, or
// of all where that is nil.
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

func BlockedBy(dir string) (sigset.Set, error) {
	status, err := procfs.ReadStatus(dir)
	if err != nil {
		return 0, err
	}
	mask, err := status.Mask("SigBlk")
	return sigset.Set(mask), err
}

// calibrated reports whether the probe tells one subscriber of sig from two.
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

// settleTime is for the thread to leave its CPU after it has run; until then
// another turn is not counted.
const settleTime = 300 * time.Microsecond

// MaxProbes is how often a probe is made before the answer is that the program
// Listens. A single one misses the movement at most 8 times in 2,000 where the
// thread was at rest before, more often right after it has run.
const MaxProbes = 3

// probe asks whether somebody else in the process is notified of a signal.
type probe struct {
	file procfs.Schedstat
	ok   bool // the file is open and has been read
	last uint64

	swallowed bool // the signal came during an ask, which has kept it from its default action
}

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

func (p *probe) Close() {
	if p.file != (procfs.Schedstat{}) {
		p.file.Close()
	}
}

// moved reports whether the thread has run since the last call.
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

// Subscribe does signal.Notify(c, sig) and tells whether anybody else was
// subscribed to sig before. It may undo and repeat that up to so many times, so
// that c must have no other signal; it is subscribed when subscribe returns,
// and holds what came meanwhile.
func (p *probe) Subscribe(c chan os.Signal, sig syscall.Signal, times int) Subscriber {
	for i := 0; ; i++ {
		if p.ok {
			if i > 0 {
				time.Sleep(settleTime)
			}
			p.moved()
		}
		signal.Notify(c, sig)
		switch {
		case !p.ok:
			return Unknown
		case p.moved():
			return None
		case i+1 == times || !p.ok:
			return Other
		}
		signal.Stop(c)
	}
}

// ask is subscribe without staying. It lets the thread come to rest first.
func (p *probe) ask(sig syscall.Signal, times int) Subscriber {
	if p.ok {
		time.Sleep(settleTime)
	}
	c := make(chan os.Signal, 1)
	answer := p.Subscribe(c, sig, times)
	signal.Stop(c)
	select {
	case <-c:
		p.swallowed = true
	default:
	}
	return answer
}

// Listens returns the signals that the program is notified of, as far as the
// thread's mask shows them: the runtime never blocks the rest there (HUP, INT,
// QUIT, TERM and those of faults and of itself), nor shows who listens to them.
func (t sigThread) Listens() (sigset.Set, error) {
	if t.dir == "" {
		return 0, fmt.Errorf("the runtime's signal thread was not found")
	}
	const tries, handling = 1000, time.Millisecond // on a busy machine it may lose its CPU there
	for range tries {
		blocked, err := BlockedBy(t.dir)
		if err != nil {
			return 0, err
		}
		// While the thread is in a signal handler it has everything blocked.
		if !blocked.Has(syscall.SIGHUP) {
			return ^blocked &^ sigset.NeverBlocked, nil
		}
		time.Sleep(handling)
	}
	return 0, fmt.Errorf("the runtime's signal thread handles one signal after another")
}

// isIn reports whether dir is the thread's directory.
func (t sigThread) isIn(dir string) bool { return t.dir != "" && t.dir == dir }
