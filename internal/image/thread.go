package image

// Fault is a signal that the runtime has turned into a panic of a goroutine.
type Fault struct {
	Signal int    // 0: none
	Addr   uint64 // of the memory, where the signal is about memory
}

// Ran returns the goroutine that a thread ran, and the fault that made it panic.
func (p *Program) Ran(thread Registers) (id uint64, fault Fault, ok bool) {
	list, err := p.goroutines()
	if err != nil {
		return 0, Fault{}, false
	}
	l := p.Layout.G
	for _, addr := range list {
		g, err := p.record(addr, l.Size)
		if err != nil || p.dead(g) || g.word(l.M) == 0 || !p.runs(thread, g) {
			continue
		}
		return g.word(l.GoID), Fault{int(g.half(l.Sig)), g.word(l.SigCode1)}, true
	}
	return 0, Fault{}, false
}

// runs reports whether a thread runs a goroutine: on its stack, or on a stack of the
// thread itself. The kernel's id of the thread is not enough: gcore outside of a
// container gives another one.
func (p *Program) runs(thread Registers, g record) bool {
	l := p.Layout.G
	on := func(g record) bool { return thread.SP >= g.word(l.StackLo) && thread.SP < g.word(l.StackHi) }
	if on(g) {
		return true
	}
	m, err := p.record(g.word(l.M), p.Layout.M.Size)
	if err != nil {
		return false
	}
	if m.word(p.Layout.M.ProcID) == uint64(thread.TID) {
		return true
	}
	for _, own := range []uint64{m.word(p.Layout.M.G0), m.word(p.Layout.M.GSignal)} {
		if g, err := p.record(own, l.Size); err == nil && on(g) {
			return true
		}
	}
	return false
}
