package image

import (
	"errors"
	"fmt"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/stack"
)

// goroutine is what one reading has of a goroutine. It is valid until the next one.
type goroutine struct {
	record record
	sites  []*site // its calls, the innermost first
	member stack.Goroutine
}

// together is how many goroutines are read together. More do not make it faster: then
// the memory does not fit into a CPU's cache.
const together = 512

// look reads all goroutines, without those of the runtime itself, and calls f for each
// until f returns false. unreadable is called for each goroutine that cannot be read; it
// may be nil. cut is true if goroutines have been left out.
func (p *Program) look(f func(*goroutine) bool, unreadable func(reason string)) (cut bool, err error) {
	p.work = maxWork
	list, err := p.goroutines()
	if err != nil {
		return false, err
	}
	now := p.Now
	if now == 0 {
		now = p.lastWait(list)
	}
	l := newLook(p)
	var g goroutine
	for len(list) > 0 {
		n := l.read(list)
		if _, err := p.word(p.allgs); err != nil {
			return false, fmt.Errorf("the program's memory can no longer be read: %w", err) // it has ended
		}
		for i := range n {
			if !p.spend(goroutineWork) {
				return true, nil
			}
			if err := l.goroutine(i, list[i], &g); err != nil {
				if unreadable != nil {
					unreadable(fmt.Sprintf("runtime.g at %#x: %v", list[i], err))
				}
				continue
			}
			if p.dead(g.record) || p.system(&g) {
				continue
			}
			g.member = p.member(g.record, now)
			if !f(&g) {
				return true, nil
			}
		}
		list = list[n:]
	}
	return p.work <= 0, nil
}

// look is the reading of some goroutines together. Each struct is read before and after
// the stack: if it is the same, the goroutine has not moved in between.
type look struct {
	program       *Program
	before, after records
	stacks        stacks
}

func newLook(p *Program) *look {
	return &look{program: p, before: newRecords(p), after: newRecords(p), stacks: stacks{program: p, room: make([]byte, stackRoom)}}
}

// read reads the goroutines at the beginning of a list, and returns how many.
func (l *look) read(list []uint64) (n int) {
	list = list[:min(len(list), together)]
	l.before.read(list)
	n = l.stacks.read(l.before.list[:len(list)])
	l.after.read(list[:n])
	return n
}

// goroutine returns goroutine i of those that were read.
func (l *look) goroutine(i int, addr uint64, g *goroutine) (err error) {
	p, before, after := l.program, l.before.list[i], l.after.list[i]
	if before != nil && p.dead(before) {
		g.record, g.sites = before, g.sites[:0]
		return nil
	}
	if stack := l.stacks.list[i]; stack != nil && after != nil && p.same(before, after) {
		at := l.stacks.places[i]
		memory := stackMemory{program: p, start: at.sp, end: at.sp + uint64(len(stack)), at: at.sp, piece: stack}
		complete := false
		if g.sites, _, complete = p.unwind(g.sites[:0], &memory, at); complete {
			g.record = before
			return nil
		}
	}
	g.record, g.sites, err = p.steady(addr, g.sites)
	return err
}

// errMoves is the error for a goroutine whose stack cannot be read, because it runs and
// stops all the time.
var errMoves = errors.New("it moved while it was read")

// steady reads a goroutine and its calls. The program may be running: then the struct is
// read again after the stack, until both belong together. A stack without an end may have
// been changed while it was read, so there is a second try.
func (p *Program) steady(addr uint64, sites []*site) (g record, _ []*site, err error) {
	const tries = 5
	ended := false
	for n := range tries {
		g, err := p.record(addr, p.Layout.G.Size)
		if err != nil || p.dead(g) {
			return g, sites[:0], err
		}
		sites, ended = p.stack(sites[:0], g)
		again, err := p.record(addr, p.Layout.G.Size)
		if err != nil {
			return nil, sites, err
		}
		if p.same(g, again) && (ended || n > 0) {
			return g, sites, nil
		}
	}
	return nil, sites, errMoves
}

// same reports whether a goroutine has not moved between two readings of its struct.
func (p *Program) same(a, b record) bool {
	l := &p.Layout.G
	for _, at := range [...]layout.Offset{
		l.GoID, l.SchedSP, l.SchedPC, l.SyscallSP, l.SyscallPC, l.StackLo, l.StackHi, l.GoPC, l.M, l.Waiting, l.SchedLink,
	} {
		if a.word(at) != b.word(at) {
			return false
		}
	}
	scan := uint32(p.Layout.Status.Scan)
	return a.half(l.AtomicStatus)&^scan == b.half(l.AtomicStatus)&^scan && a.byte(l.WaitReason) == b.byte(l.WaitReason)
}

// lastWait returns the latest time at which a goroutine began to wait, in
// nanoseconds. It stands for the time of the core, which the core does not say: so
// the minutes are at least as many as shown.
func (p *Program) lastWait(list []uint64) int64 {
	var last int64
	r := newRecords(p)
	for len(list) > 0 {
		n := min(len(list), together)
		r.read(list[:n])
		for _, g := range r.list[:n] {
			last = max(last, int64(g.word(p.Layout.G.WaitSince)))
		}
		list = list[n:]
	}
	return last
}
