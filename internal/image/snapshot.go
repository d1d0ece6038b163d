package image

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/stack"
)

// Snapshot reads all goroutines, without those of the runtime itself.
func (p *Program) Snapshot(exclude stack.Exclude) (*stack.Snapshot, error) {
	c := stack.NewCollector(exclude)
	kept, cut := 0, false
	err := p.Each(func(_ uint64, text []byte) bool {
		head := bytes.IndexByte(text, '\n') // it may have labels, which are kept for many goroutines
		kept += head
		if c.Add(text) {
			kept += len(text)
		}
		cut = kept > maxKept
		return !cut
	}, c.Unreadable)
	if err != nil {
		return nil, err
	}
	s := c.Snapshot()
	s.Cut = cut || p.work <= 0
	return s, nil
}

// Bounds of texts, in bytes: of all groups, and of one goroutine.
const (
	maxKept = 256 << 20
	maxText = 4 << 20
)

// Each calls f with the id and the text of each goroutine, in the form of
// runtime.Stack, until f returns false. It leaves out the goroutines of the runtime
// itself. unreadable is called for each goroutine that cannot be read; it may be nil.
func (p *Program) Each(f func(id uint64, text []byte) bool, unreadable func(reason string)) error {
	p.work = maxWork
	list, err := p.goroutines()
	if err != nil {
		return err
	}
	now := p.Now
	if now == 0 {
		now = p.lastWait(list)
	}
	var frames []frame
	var text bytes.Buffer
	for _, addr := range list {
		var g record
		var err error
		g, frames, err = p.steady(addr, frames[:0])
		if err != nil {
			if unreadable != nil {
				unreadable(fmt.Sprintf("runtime.g at %#x: %v", addr, err))
			}
			continue
		}
		if p.dead(g) || p.system(g, frames) {
			continue
		}
		text.Reset()
		p.write(&text, g, frames, now)
		if !f(g.word(p.Layout.G.GoID), text.Bytes()) {
			break
		}
	}
	return nil
}

// errMoves is the error for a goroutine whose stack cannot be read, because it runs and
// stops all the time.
var errMoves = errors.New("it moved while it was read")

// steady reads a goroutine and its calls. The program may be running: then the struct is
// read again after the stack, until both belong together.
func (p *Program) steady(addr uint64, frames []frame) (record, []frame, error) {
	const tries = 5
	for range tries {
		g, err := p.record(addr, p.Layout.G.Size)
		if err != nil {
			return nil, nil, err
		}
		if p.dead(g) {
			return g, nil, nil
		}
		frames = p.stack(frames[:0], g)
		again, err := p.record(addr, p.Layout.G.Size)
		if err != nil {
			return nil, nil, err
		}
		if p.same(g, again) {
			return g, frames, nil
		}
	}
	return nil, nil, errMoves
}

// same reports whether a goroutine has not moved between two readings of its struct.
func (p *Program) same(a, b record) bool {
	l := p.Layout.G
	for _, at := range []layout.Offset{l.StackLo, l.StackHi, l.SchedSP, l.SchedPC, l.SyscallSP, l.SyscallPC, l.GoID, l.GoPC, l.M} {
		if a.word(at) != b.word(at) {
			return false
		}
	}
	scan := uint32(p.Layout.Status.Scan)
	return a.half(l.AtomicStatus)&^scan == b.half(l.AtomicStatus)&^scan && a.byte(l.WaitReason) == b.byte(l.WaitReason)
}

// dead reports whether a goroutine has ended and waits to be used again, or has not
// begun to exist.
func (p *Program) dead(g record) bool {
	status := layout.Offset(g.half(p.Layout.G.AtomicStatus) &^ uint32(p.Layout.Status.Scan))
	s := p.Layout.Status
	return status == s.Dead || status == s.Idle || status == s.DeadExtra
}

// lastWait returns the latest time at which a goroutine began to wait, in
// nanoseconds. It stands for the time of the core, which the core does not say: so
// the minutes are at least as many as shown.
func (p *Program) lastWait(list []uint64) int64 {
	var last int64
	for _, addr := range list {
		if since, err := p.word(addr + uint64(p.Layout.G.WaitSince)); err == nil {
			last = max(last, int64(since))
		}
	}
	return last
}

// system reports whether a goroutine is one of the runtime's own, which a traceback
// does not show (isSystemGoroutine in runtime/traceback.go). That of finalizers and
// cleanups is shown while it runs code of the program.
func (p *Program) system(g record, frames []frame) bool {
	f, ok := p.find(g.word(p.Layout.G.StartPC))
	if !ok {
		return false
	}
	ids := p.Layout.FuncID
	switch f.id {
	case ids.RuntimeMain, ids.CoroStart, ids.HandleAsyncEvent:
		return false
	case ids.RunFinalizers, ids.RunCleanups:
		for _, f := range frames {
			if !strings.HasPrefix(f.function, "runtime.") {
				return false
			}
		}
		return true
	}
	return strings.HasPrefix(f.name, "runtime.")
}

// write writes a goroutine as runtime.Stack does.
func (p *Program) write(b *bytes.Buffer, g record, frames []frame, now int64) {
	l := p.Layout.G
	fmt.Fprintf(b, "goroutine %d [%s", g.word(l.GoID), p.stateText(g))
	if since := int64(g.word(l.WaitSince)); since > 0 && now > since {
		if status := layout.Offset(g.half(l.AtomicStatus) &^ uint32(p.Layout.Status.Scan)); status == p.Layout.Status.Waiting || status == p.Layout.Status.Syscall {
			if minutes := (now - since) / 60e9; minutes >= 1 {
				fmt.Fprintf(b, ", %d minutes", minutes)
			}
		}
	}
	if g.word(l.LockedM) != 0 {
		b.WriteString(", locked to thread")
	}
	b.WriteString("]")
	p.writeLabels(b, g.word(l.Labels))
	b.WriteString(":\n")
	for _, f := range frames {
		if b.Len() > maxText {
			break
		}
		if strings.Contains(f.function, ".") && f.function != "runtime.goexit" { // C and assembly have no dot
			fmt.Fprintf(b, "%s()\n\t%s:%d\n", plain(printed(f.function)), plain(f.file), f.line)
		}
	}
	if c, ok := p.creator(g.word(l.GoPC)); ok && g.word(l.GoID) != 1 {
		fmt.Fprintf(b, "created by %s", plain(printed(c.function)))
		if parent := g.word(l.ParentGoID); parent != 0 {
			fmt.Fprintf(b, " in goroutine %d", parent)
		}
		fmt.Fprintf(b, "\n\t%s:%d\n", plain(c.file), c.line)
	}
}

// printed returns the name of a function as a traceback has it: with dots for type
// arguments (funcNameForPrint in runtime/symtab.go).
func printed(name string) string {
	open, end := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']')
	if open < 0 || end <= open {
		return name
	}
	return name[:open] + "[...]" + name[end+1:]
}

// plain returns a name without newlines, which would be taken for the end of a line.
func plain(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }

// stateText returns the state in the runtime's words (goroutineheader in
// runtime/traceback.go).
func (p *Program) stateText(g record) string {
	l, s := p.Layout.G, p.Layout.Status
	number := g.half(l.AtomicStatus) &^ uint32(s.Scan)
	text, ok := p.Layout.StatusText(number)
	if !ok || text == "" {
		text = "???"
	}
	status := layout.Offset(number)
	if leaked := s.Leaked.Known() && status == s.Leaked; leaked || status == s.Waiting {
		if reason, ok := p.Layout.WaitReason(g.byte(l.WaitReason)); ok && reason != "" {
			text = reason
		}
		if leaked {
			text += " (leaked)"
		}
	}
	return text
}
