package image

import (
	"bytes"
	"debug/elf"
)

// Places returns the addresses of what is read: the goroutines and their stacks, the
// list of goroutines, and what the runtime's tables say.
func (p *Program) Places() (places []uint64) {
	list, _ := p.goroutines()
	header, _ := p.block(p.allgs, 8)
	places = append(places, p.allgs, record(header).word(0), p.module.gofunc, p.moduleAddress())
	for _, addr := range list {
		if g, err := p.record(addr, p.Layout.G.Size); err == nil {
			places = append(places, addr, g.word(p.Layout.G.SchedSP), g.word(p.Layout.G.M), g.word(p.Layout.G.Labels))
		}
	}
	return places
}

// moduleAddress returns the address of runtime.firstmoduledata.
func (p *Program) moduleAddress() (found uint64) {
	for _, s := range p.elf.Progs {
		if s.Flags&elf.PF_W == 0 {
			continue
		}
		p.scan(s.Vaddr+p.bias, s.Vaddr+p.bias+s.Filesz, uint64(len(p.module.record)), func(addr uint64, data []byte) bool {
			at := bytes.Index(data, p.module.record)
			if at >= 0 {
				found = addr + uint64(at)
			}
			return at >= 0
		})
	}
	return found
}
