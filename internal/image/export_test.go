package image

// Places returns the addresses of what is read: the goroutines and their stacks.
func (p *Program) Places() (places []uint64) {
	list, _ := p.goroutines()
	for _, addr := range list {
		if g, err := p.record(addr, p.Layout.G.Size); err == nil {
			places = append(places, addr, g.word(p.Layout.G.SchedSP), g.word(p.Layout.G.M), g.word(p.Layout.G.Labels))
		}
	}
	return places
}
