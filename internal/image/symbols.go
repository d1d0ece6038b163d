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
	v := p.values(f, table)
	for p.spend(1) && v.next() {
		if pc < v.end {
			return v.value, true
		}
	}
	return -1, false
}

// pcValues goes through a table of numbers of a function.
type pcValues struct {
	table   []byte
	end     uint64 // up to where in the code the number is value
	value   int32
	quantum uint64
	begun   bool
}

func (p *Program) values(f *function, table uint32) pcValues {
	v := pcValues{end: f.entry, value: -1, quantum: 1}
	if p.arch == "arm64" {
		v.quantum = 4
	}
	if table > 0 && uint64(table) < uint64(len(p.symbols.numbers)) {
		v.table = p.symbols.numbers[table:]
	}
	return v
}

// next goes to the next number. It returns false at the end.
func (v *pcValues) next() bool {
	change, n := binary.Uvarint(v.table)
	if n <= 0 || change == 0 && v.begun {
		return false
	}
	step, m := binary.Uvarint(v.table[n:])
	if m <= 0 {
		return false
	}
	v.table, v.begun = v.table[n+m:], true
	v.value += int32(uint32(change)>>1) ^ -int32(change&1) // zigzag
	v.end += step * v.quantum
	return true
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
