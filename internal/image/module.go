package image

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/image/layout/fromdwarf"
)

// Bounds of what a program may claim.
const (
	maxTables  = 256 << 20 // of .gopclntab; the largest programs have 100 MB
	maxSegment = 256 << 20 // of the data that is searched
	maxDWARF   = 512 << 20
)

// layout returns the table of the program's release, or one made from its DWARF.
func (p *Program) layout() (*layout.Layout, error) {
	l, err := layout.For(p.Build.GoVersion, p.arch)
	if err == nil {
		return l, nil
	}
	size := uint64(0)
	for _, s := range p.elf.Sections {
		if strings.HasPrefix(s.Name, ".debug_") || strings.HasPrefix(s.Name, ".zdebug_") {
			size += min(s.Size, maxDWARF+1)
		}
	}
	if size > maxDWARF {
		return nil, fmt.Errorf("%w, and its DWARF has more than %d MiB; use a newer oneshot", err, maxDWARF>>20)
	}
	data, dwarfErr := p.elf.DWARF()
	if dwarfErr != nil {
		return nil, fmt.Errorf("%w, and the program has no DWARF, which describes them; use a newer oneshot", err)
	}
	made, dwarfErr := fromdwarf.Read(data, p.Build.GoVersion, func(addr uint64, b []byte) error { return p.memory.Read(addr+p.bias, b) })
	if dwarfErr != nil {
		return nil, fmt.Errorf("%w; %w", err, dwarfErr)
	}
	return made, nil
}

// moduledata is what is needed of runtime.firstmoduledata.
type moduledata struct {
	record   record
	tables   uint64 // the address of .gopclntab
	text     uint64
	etext    uint64
	gofunc   uint64
	sections []textSection
}

// textSection is a text section: its place among the offsets, and its address.
type textSection struct{ offset, end, base uint64 }

// tables returns the address and the content of .gopclntab.
func (p *Program) tables() (uint64, []byte, error) {
	for _, s := range p.elf.Sections {
		if !strings.HasSuffix(s.Name, ".gopclntab") || s.Type != elf.SHT_PROGBITS { // .data.rel.ro.gopclntab in a PIE
			continue
		}
		if s.Size > maxTables {
			return 0, nil, fmt.Errorf("its %s has %d bytes", s.Name, s.Size)
		}
		b, err := io.ReadAll(s.Open())
		if err == nil && uint64(len(b)) != s.Size {
			err = io.ErrUnexpectedEOF
		}
		return s.Addr + p.bias, b, err
	}
	return 0, nil, errors.New("the program has no section .gopclntab")
}

// findModule finds runtime.firstmoduledata: a struct in the program's data that begins
// with the address of .gopclntab and contains that of its code.
func (p *Program) findModule() (moduledata, error) {
	tables, content, err := p.tables()
	if err != nil {
		return moduledata{}, err
	}
	p.symbols = &symbols{content: content}
	size := p.Layout.ModuleData.Size
	if size <= 0 {
		return moduledata{}, layout.ErrUnknown
	}
	pattern := binary.LittleEndian.AppendUint64(nil, tables)
	var found moduledata
	search := func(addr uint64, data []byte) (ok bool) {
		for at := 0; !ok; at += 8 {
			next := bytes.Index(data[at:], pattern)
			if next < 0 || at+next+int(size) > len(data) {
				return false
			}
			if at += next; at%8 != 0 {
				at -= at % 8
				continue
			}
			found, ok = p.parseModule(data[at:at+int(size)], tables)
		}
		return true
	}
	for _, flags := range []elf.ProgFlag{elf.PF_W, 0} { // it is seldom in memory that the program only reads
		for _, s := range p.elf.Progs {
			if s.Type != elf.PT_LOAD || s.Filesz > maxSegment || s.Flags&elf.PF_W != flags {
				continue
			}
			if p.scan(s.Vaddr+p.bias, s.Vaddr+p.bias+s.Filesz, uint64(size), search) {
				return found, nil
			}
		}
	}
	return moduledata{}, errors.New("the runtime's tables were not found in the program's memory")
}

// scan reads the memory from start to end piece by piece, and calls f with each piece
// until it returns true. The pieces begin at multiples of 8 bytes from start; what is
// not longer than size is in one of them as a whole.
func (p *Program) scan(start, end, size uint64, f func(addr uint64, data []byte) bool) (found bool) {
	const piece = 256 << 10
	if end <= start {
		return false
	}
	data := make([]byte, min(piece+(size+7)&^7, end-start))
	for at := uint64(0); at < end-start; at += piece {
		data = data[:min(uint64(len(data)), end-start-at)]
		if p.memory.Read(start+at, data) == nil && f(start+at, data) {
			return true
		}
	}
	return false
}

func (p *Program) parseModule(r record, tables uint64) (moduledata, bool) {
	l := p.Layout.ModuleData
	m := moduledata{record: r, tables: tables, text: r.word(l.Text), etext: r.word(l.EText), gofunc: r.word(l.GoFunc)}
	if m.text == 0 || m.text >= m.etext || r.word(l.MinPC) < m.text || r.word(l.MaxPC) > m.etext || r.word(l.MinPC) > r.word(l.MaxPC) {
		return m, false
	}
	n := r.word(l.TextSectMap + 8)
	if n < 2 || n > 1000 {
		return m, true
	}
	size := p.Layout.TextSect.Size
	b, err := p.block(r.word(l.TextSectMap), n*uint64(size))
	if err != nil {
		return m, false
	}
	for ; len(b) > 0; b = b[size:] {
		s := record(b[:size])
		m.sections = append(m.sections, textSection{s.word(p.Layout.TextSect.VAddr), s.word(p.Layout.TextSect.End), s.word(p.Layout.TextSect.BaseAddr)})
	}
	return m, true
}

// address returns the address of an offset in the text (moduledata.textAddr).
func (m *moduledata) address(offset uint64) uint64 {
	for _, s := range m.sections {
		if offset >= s.offset && offset < s.end {
			return s.base + offset - s.offset
		}
	}
	return m.text + offset
}

// offset returns the offset of an address (moduledata.textOff).
func (m *moduledata) offset(pc uint64) (uint64, bool) {
	if pc < m.text || pc >= m.etext {
		return 0, false
	}
	for _, s := range m.sections {
		if pc >= s.base && pc < s.base+(s.end-s.offset) {
			return pc - s.base + s.offset, true
		}
	}
	return pc - m.text, len(m.sections) == 0
}
