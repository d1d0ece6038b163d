package image

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sort"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// symbols are the tables of functions and lines (runtime/symtab.go).
type symbols struct {
	content []byte // .gopclntab
	names   []byte
	units   []byte
	files   []byte
	numbers []byte // pctab
	funcs   []byte // pclntable
	index   []byte // ftab
}

// function is a runtime._func.
type function struct {
	record record // with the arrays behind it
	entry  uint64
	name   string
	id     layout.Offset
}

// readSymbols cuts the tables out of .gopclntab. Each of them must be inside.
func (p *Program) readSymbols() (*symbols, error) {
	s, l := p.symbols, p.Layout.ModuleData
	ok := true
	table := func(at layout.Offset, size uint64) []byte {
		start, n := p.module.record.word(at)-p.module.tables, p.module.record.word(at+8)
		all := uint64(len(s.content))
		if start > all || n > (all-start)/size {
			ok = false
			return nil
		}
		return s.content[start : start+n*size]
	}
	s.names, s.units, s.files = table(l.FuncNameTab, 1), table(l.CUTab, 4), table(l.FileTab, 1)
	s.numbers, s.funcs, s.index = table(l.PCTab, 1), table(l.PCLnTable, 1), table(l.FTab, uint64(p.Layout.FuncTab.Size))
	if !ok || len(s.index) < 2*int(p.Layout.FuncTab.Size) {
		return nil, errors.New("the runtime's tables of functions are damaged")
	}
	return s, nil
}

// find returns the function that contains pc.
func (p *Program) find(pc uint64) (*function, bool) {
	offset, ok := p.module.offset(pc)
	if !ok {
		return nil, false
	}
	s, tab := p.symbols, p.Layout.FuncTab
	n := len(s.index)/int(tab.Size) - 1 // the last one marks the end
	entry := func(i int) record { return s.index[i*int(tab.Size):][:tab.Size] }
	i := sort.Search(n, func(i int) bool { return uint64(entry(i).half(tab.EntryOff)) > offset }) - 1
	if i < 0 {
		return nil, false
	}
	at := uint64(entry(i).half(tab.FuncOff))
	if at+uint64(p.Layout.Func.Size) > uint64(len(s.funcs)) {
		return nil, false
	}
	l := p.Layout.Func
	r := record(s.funcs[at:])
	f := &function{record: r, entry: p.module.address(uint64(r.half(l.EntryOff))), id: layout.Offset(r.byte(l.FuncID))}
	f.name = text(s.names, uint64(r.half(l.NameOff)))
	return f, f.entry <= pc
}

// maxName bounds the name of a function or file.
const maxName = 8 << 10

// text returns the string at an offset of a table.
func text(table []byte, at uint64) string {
	if at >= uint64(len(table)) {
		return ""
	}
	s, _, _ := bytes.Cut(table[at:min(uint64(len(table)), at+maxName)], []byte{0})
	return string(s)
}

// pcdata returns the offset of one of the tables of numbers behind a function; 0 if
// there is none.
func (p *Program) pcdata(f *function, n layout.Offset) uint32 {
	if n < 0 || uint32(n) >= f.record.half(p.Layout.Func.NPCData) {
		return 0
	}
	return f.record.half(p.Layout.Func.Size + 4*n)
}

// funcdata returns the address of one of the tables behind a function.
func (p *Program) funcdata(f *function, n layout.Offset) (uint64, bool) {
	l := p.Layout.Func
	before := f.record.half(l.NPCData)
	if n < 0 || uint8(n) >= f.record.byte(l.NFuncData) || before > 100 {
		return 0, false
	}
	offset := f.record.half(l.Size + 4*layout.Offset(before) + 4*n)
	return p.module.gofunc + uint64(offset), offset != 1<<32-1
}

// value returns the number that a table gives for pc (pcvalue in runtime/symtab.go).
func (p *Program) value(f *function, table uint32, pc uint64) (int32, bool) {
	if table == 0 || uint64(table) >= uint64(len(p.symbols.numbers)) {
		return -1, false
	}
	b := p.symbols.numbers[table:]
	at, value := f.entry, int32(-1)
	quantum := uint64(1)
	if p.arch == "arm64" {
		quantum = 4
	}
	for first := true; p.spend(1); first = false {
		change, n := binary.Uvarint(b)
		if n <= 0 || change == 0 && !first {
			return -1, false
		}
		b = b[n:]
		step, n := binary.Uvarint(b)
		if n <= 0 {
			return -1, false
		}
		b = b[n:]
		value += int32(uint32(change)>>1) ^ -int32(change&1) // zigzag
		at += step * quantum
		if pc < at {
			return value, true
		}
	}
	return -1, false
}

// position returns the file and line of pc.
func (p *Program) position(f *function, pc uint64) (file string, line int) {
	l, s := p.Layout.Func, p.symbols
	number, ok := p.value(f, f.record.half(l.PCFile), pc)
	n, lineOK := p.value(f, f.record.half(l.PCLn), pc)
	if !ok || !lineOK || number < 0 {
		return "?", 0
	}
	unit := 4 * (uint64(f.record.half(l.CUOffset)) + uint64(number))
	if unit+4 > uint64(len(s.units)) {
		return "?", int(n)
	}
	offset := binary.LittleEndian.Uint32(s.units[unit:])
	if offset == 1<<32-1 {
		return "?", int(n)
	}
	return text(s.files, uint64(offset)), int(n)
}
