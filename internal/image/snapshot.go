package image

import (
	"strconv"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/stack"
)

// Snapshot reads all goroutines, without those of the runtime itself.
func (p *Program) Snapshot(exclude stack.Exclude) (*stack.Snapshot, error) {
	c := stack.NewCollector(exclude)
	groups := map[uint64]int{}
	kept := 0
	var text []byte
	cut, err := p.look(func(g *goroutine) bool {
		text = p.appendLabels(text[:0], g.record.word(p.Layout.G.Labels))
		kept += memberSize + len(text) // labels are kept for many goroutines
		key := p.groupKey(g)
		group, known := groups[key]
		if known {
			c.AddTo(group, g.member, text)
			return kept <= maxKept
		}
		text = p.appendGoroutine(text[:0], g)
		if group = c.Add(text, g.member.Turns); group != stack.Unparsed {
			groups[key] = group
			kept += len(text)
		}
		return kept <= maxKept
	}, c.Unreadable)
	if err != nil {
		return nil, err
	}
	s := c.Snapshot()
	s.Cut = cut
	for i := range s.Groups {
		g := &s.Groups[i]
		g.LastCalls = len(p.threads) == 0 && len(g.Frames) > 0 && g.State == "running"
	}
	return s, nil
}

// Bounds of texts, in bytes: of all groups, and of one goroutine.
const (
	maxKept    = 256 << 20
	maxText    = 4 << 20
	memberSize = 40 // what is kept of a goroutine
)

// Each calls f with the id and the text of each goroutine, in the form of
// runtime.Stack, until f returns false. It leaves out the goroutines of the runtime
// itself. unreadable is called for each goroutine that cannot be read; it may be nil.
func (p *Program) Each(f func(id uint64, text []byte) bool, unreadable func(reason string)) error {
	var text []byte
	_, err := p.look(func(g *goroutine) bool {
		text = p.appendGoroutine(text[:0], g)
		return f(g.member.ID, text)
	}, unreadable)
	return err
}

// dead reports whether a goroutine has ended and waits to be used again, or has not
// begun to exist.
func (p *Program) dead(g record) bool {
	status := layout.Offset(g.half(p.Layout.G.AtomicStatus) &^ uint32(p.Layout.Status.Scan))
	s := p.Layout.Status
	return status == s.Dead || status == s.Idle || status == s.DeadExtra
}

// system reports whether a goroutine is one of the runtime's own, which a traceback
// does not show (isSystemGoroutine in runtime/traceback.go). That of finalizers and
// cleanups is shown while it runs code of the program.
func (p *Program) system(g *goroutine) bool {
	s := p.start(g.record.word(p.Layout.G.StartPC))
	ids := p.Layout.FuncID
	switch {
	case !s.runtime:
		return false
	case s.id == ids.RuntimeMain, s.id == ids.CoroStart, s.id == ids.HandleAsyncEvent:
		return false
	case s.id == ids.RunFinalizers, s.id == ids.RunCleanups:
		for _, s := range g.sites {
			if !s.runtimeOnly {
				return false
			}
		}
	}
	return true
}

// member returns what a snapshot has of one goroutine of a group.
func (p *Program) member(g record, now int64) stack.Goroutine {
	l, s := p.Layout.G, p.Layout.Status
	status := layout.Offset(g.half(l.AtomicStatus) &^ uint32(s.Scan))
	m := stack.Goroutine{ID: g.word(l.GoID), Locked: g.word(l.LockedM) != 0, Leaked: s.Leaked.Known() && status == s.Leaked}
	if l.TrackingSeq.Known() {
		m.Turns = stack.Turns(g.byte(l.TrackingSeq), p.stop(g, status))
	}
	if m.ID != 1 && p.creator(g.word(l.GoPC)).ok {
		m.Parent = g.word(l.ParentGoID)
	}
	if since := int64(g.word(l.WaitSince)); since > 0 && now > since && (status == s.Waiting || status == s.Syscall || m.Leaked) {
		m.Minutes = int32((now - since) / 60e9)
	}
	return m
}

// stop returns how a goroutine has last stopped running, or layout.Preempted if that is not
// known: a goroutine that runs and calls the runtime overwrites it.
func (p *Program) stop(g record, status layout.Offset) layout.Stop {
	s := p.site(g.word(p.Layout.G.SchedPC), false)
	if s == nil || status == p.Layout.Status.Running && s.outermost() == "runtime.systemstack_switch" {
		return layout.Preempted
	}
	stop := layout.StopIn(s.calls[0].function)
	if stop == layout.Waited {
		switch reason, _ := p.Layout.WaitReason(g.byte(p.Layout.G.WaitReason)); reason {
		case "GC assist wait", "GC sweep wait", "semacquire": // perhaps it allocates, and the runtime has it wait for a collection
			return layout.Called
		}
	}
	return stop
}

// groupKey returns a number for what the goroutines of a group have in common.
func (p *Program) groupKey(g *goroutine) uint64 {
	l := p.Layout.G
	key := mix(uint64(g.record.half(l.AtomicStatus)&^uint32(p.Layout.Status.Scan)), uint64(g.record.byte(l.WaitReason)))
	key = mix(key, g.record.word(l.GoPC))
	if g.member.ID == 1 {
		key = ^key // its creator is not shown
	}
	for _, s := range g.sites {
		key = mix(key, s.key)
	}
	return key
}

// appendGoroutine appends a goroutine as runtime.Stack writes it.
func (p *Program) appendGoroutine(b []byte, g *goroutine) []byte {
	l := p.Layout.G
	b = append(b, "goroutine "...)
	b = strconv.AppendUint(b, g.member.ID, 10)
	b = append(b, " ["...)
	b = append(b, p.stateText(g.record)...)
	if g.member.Minutes >= 1 {
		b = append(b, ", "...)
		b = strconv.AppendInt(b, int64(g.member.Minutes), 10)
		b = append(b, " minutes"...)
	}
	if g.member.Locked {
		b = append(b, ", locked to thread"...)
	}
	if id, ok := p.bubbleID(g.record); ok {
		b = append(b, ", synctest bubble "...)
		b = strconv.AppendInt(b, id, 10)
	}
	b = append(b, ']')
	if labels := g.record.word(l.Labels); labels != 0 {
		b = append(b, ' ')
		n := len(b)
		if b = p.appendLabels(b, labels); len(b) == n {
			b = b[:n-1]
		}
	}
	b = append(b, ":\n"...)
	b = p.appendFrames(b, g.sites)
	if c := p.creator(g.record.word(l.GoPC)); c.ok && g.member.ID != 1 {
		b = append(append(b, "created by "...), c.function...)
		if g.member.Parent != 0 {
			b = append(b, " in goroutine "...)
			b = strconv.AppendUint(b, g.member.Parent, 10)
		}
		b = append(append(b, '\n'), c.position...)
	}
	return b
}

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
	return text + p.durable(g, status, text)
}
