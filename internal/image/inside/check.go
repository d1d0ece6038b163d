//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/ours"
)

// checked is the result of the check.
var checked struct {
	sync.Mutex
	done  bool
	busy  int // how often the check could not be completed
	err   error
	allgs uintptr
}

// Check compares the memory with what the runtime says, at the first call. Its error
// says what disagrees.
func Check() error {
	_, _, err := open()
	return err
}

// Read reads all goroutines of the program.
func Read(to Groups) error {
	l, allgs, err := open()
	if err != nil {
		return err
	}
	p := newPass(l)
	p.labels = true
	p.read(list(allgs), to)
	return nil
}

// Turns calls f with Turns, Stop and Minutes of each goroutine. This is quicker than Read,
// which reads the stacks too.
func Turns(f func(id uint64, turns uint8, stop layout.Stop, minutes int)) error {
	l, allgs, err := open()
	if err != nil {
		return err
	}
	var stops stops
	now := nanotime()
	for _, g := range list(allgs) { // a runtime.g is never freed
		turns := uint8(load(g+uintptr(l.G.TrackingSeq&^7)) >> (l.G.TrackingSeq % 8 * 8))
		f(uint64(load(g+uintptr(l.G.GoID))), turns, stops.at(load(g+uintptr(l.G.SchedPC))), minutes(load(g+uintptr(l.G.WaitSince)), now))
	}
	return nil
}

// minutes returns for how long a goroutine has waited, if the runtime has noted since when.
func minutes(since uintptr, now int64) int {
	if since == 0 {
		return 0
	}
	return int(max(now-int64(since), 0) / int64(time.Minute))
}

func open() (*layout.Layout, uintptr, error) {
	l, err := layout.Own()
	if err != nil {
		return nil, 0, err
	}
	checked.Lock()
	defer checked.Unlock()
	if !checked.done {
		checked.allgs, checked.err = check(l)
		if errors.Is(checked.err, errBusy) {
			checked.busy++
		}
		checked.done = checked.err == nil || checked.busy == 0 || checked.busy == maxBusy
	}
	return l, checked.allgs, checked.err
}

// errBusy is the error of a check that could not be completed in time.
var errBusy = errors.New("the goroutine that is read for a check did not begin to wait in time")

// checkTime is how long the check waits. After maxBusy times, it is the program that is
// not as expected, and not the machine that is busy.
const (
	checkTime = 2 * time.Second
	maxBusy   = 3
)

// check starts a goroutine that says about itself what is then read.
func check(l *layout.Layout) (allgs uintptr, err error) {
	if allgs = findList(l); allgs == 0 {
		return 0, errors.New("the list of goroutines was not found in the program's memory")
	}
	s := &sample{parent: ownID(), end: make(chan struct{}), started: make(chan struct{})}
	defer close(s.end)
	ours.Go(func() { s.recurse(3) })
	<-s.started
	if !slices.Contains(list(allgs), s.g) {
		return 0, errors.New("a new goroutine is not in the list of goroutines that was found in the program's memory")
	}
	p := newPass(l)
	for began := time.Now(); time.Since(began) < checkTime; time.Sleep(time.Millisecond) {
		s.seen = nil
		p.read([]uintptr{s.g}, s)
		if s.seen != nil && StateText(s.seen.State) == "chan receive" {
			if err := cmp.Or(s.compare(), s.compareFlags(l)); err != nil {
				return 0, err
			}
			switch steady, err := s.compareSlots(p); {
			case !steady:
				continue // its stack has just been moved
			case err != nil:
				return 0, err
			}
			return allgs, s.compareMemory(l)
		}
	}
	if s.seen == nil {
		return 0, errors.New("a new goroutine cannot be read in the program's memory")
	}
	return 0, errBusy
}

// ownID returns the id of the calling goroutine, which the runtime does not tell
// otherwise.
func ownID() (id uint64) {
	var b [64]byte
	for _, c := range b[len("goroutine "):runtime.Stack(b[:], false)] {
		if c < '0' || c > '9' {
			break
		}
		id = 10*id + uint64(c-'0')
	}
	return id
}

// sample is a goroutine that knows itself. It is also the Groups that look for it.
type sample struct {
	g            uintptr // the address of its runtime.g
	id, parent   uint64
	stack        []uintptr // as runtime.Callers returns it
	later        *[3]int   // what it uses after its wait
	started, end chan struct{}
	seen         *Goroutine
}

// recurse makes a stack that is not as simple as most are.
//
//go:noinline
func (s *sample) recurse(depth int) byte {
	var room [100]byte
	if depth > 0 {
		return s.recurse(depth-1) + room[depth]
	}
	func() { s.wait() }()
	return room[depth]
}

func (s *sample) wait() {
	setProfLabel(unsafe.Pointer(&labels))
	s.g, s.id, s.stack = getg(), ownID(), make([]uintptr, 64)
	s.stack = s.stack[:runtime.Callers(1, s.stack)]
	later := new([3]int)
	s.later = later
	close(s.started)
	<-s.end
	runtime.KeepAlive(later)
}

// Find, Create and Add are those of Groups.
func (s *sample) Find(uint64) (int, bool)       { return 0, true }
func (s *sample) Create(uint64, *Goroutine) int { return 0 }
func (s *sample) Add(_ int, g *Goroutine) {
	seen := *g
	seen.Stack = slices.Clone(g.Stack)
	s.seen = &seen
}

// compare returns an error if what was seen is not what the goroutine said.
func (s *sample) compare() error {
	g := s.seen
	stack := Expand(nil, g.Stack)
	// The goroutine has gone on since, to another line of the same function.
	at := len(stack) - len(s.stack)
	switch {
	case g.ID != s.id || g.Parent != s.parent:
		return fmt.Errorf("goroutine %d, started by %d, was read as %d, started by %d", s.id, s.parent, g.ID, g.Parent)
	case !g.Whole || at < 0 || runtime.FuncForPC(stack[at]).Name() != runtime.FuncForPC(s.stack[0]).Name() || !slices.Equal(stack[at+1:], s.stack[1:]):
		return errors.New("the stack of a goroutine was read as another one")
	case runtime.FuncForPC(g.Creator).Name() != "github.com/gomanhole/oneshot/internal/ours.Go":
		return fmt.Errorf("a goroutine that ours.Go started was read as started by %q", runtime.FuncForPC(g.Creator).Name())
	}
	return nil
}

// compareFlags returns an error if the flags of functions are looked for in the wrong place.
// That place may by chance have the right bits for goexit, with which each stack begins. A
// compiled function has no flags.
func (s *sample) compareFlags(l *layout.Layout) error {
	for i, pc := range s.stack {
		flags := findfunc(pc).flags(l)
		if last := i == len(s.stack)-1; last && flags&layout.FuncFlagTopFrame == 0 || !last && flags != 0 {
			return fmt.Errorf("%s was read as a function with the flags %#x", runtime.FuncForPC(pc).Name(), flags)
		}
	}
	return nil
}

// labels is an empty set of labels (Set in internal/runtime/pprof/label).
var labels struct{ list []struct{ key, value string } }

// compareMemory returns an error if what is not read with the stack is not where it is
// looked for. A pointer to labels that is none would end the program.
func (s *sample) compareMemory(l *layout.Layout) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if isFault(recover()) {
			err = errLabels
		}
	}()
	if start := runtime.FuncForPC(load(s.g + uintptr(l.G.StartPC))); start == nil || !ours.Is(start.Name()) {
		return errors.New("the function that a goroutine began with was not found")
	}
	if load(s.g+uintptr(l.G.Labels)) != uintptr(unsafe.Pointer(&labels)) {
		return errLabels
	}
	sudog := load(s.g + uintptr(l.G.Waiting))
	if sudog == 0 || load(load(sudog+uintptr(l.Sudog.C))+channelReceivers) != sudog {
		return errors.New("the queue of a channel was not found")
	}
	return nil
}

var errLabels = errors.New("the labels of a goroutine were not found")

// compareSlots returns an error if the slots on the stack do not have what the goroutine
// uses later. It returns false if the goroutine moves.
func (s *sample) compareSlots(p *pass) (steady bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if isFault(recover()) {
			steady, err = true, errSlots
		}
	}()
	r, l := p.newReading().record, p.layout
	copyWords(&r[0], s.g, len(r))
	sp := uintptr(r.word(l.G.SchedSP))
	stack := make([]uint64, (uintptr(r.word(l.G.StackHi))-sp)/8)
	copyWords(&stack[0], sp, len(stack))
	copyWords(&p.after[0], s.g, len(p.after))
	if !p.same(r, p.after) {
		return false, nil
	}
	found := false
	known := p.eachSlot(uintptr(r.word(l.G.SchedPC)), stack, func(word uint64) {
		found = found || uintptr(word) == uintptr(unsafe.Pointer(s.later))
	})
	if !known || !found {
		return true, errSlots
	}
	return true, nil
}

var errSlots = errors.New("what a goroutine uses later was not found on its stack")
