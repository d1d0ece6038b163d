//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"runtime"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// The compiler tells the garbage collector which words of a frame the rest of the function
// can use: its slots. The other words lead to nothing that it will use (getStackMap in
// runtime/stkframe.go).
const (
	dataArgs     = 0 // abi.FUNCDATA_ArgsPointerMaps and the following
	dataLocals   = 1
	dataObjects  = 2
	tableSlots   = 1 // abi.PCDATA_StackMapIndex
	mapBits      = 8 // the place of the bits in runtime.stackmap
	objectRecord = 16
	maxSlots     = 1 << 16 // words of a frame
	maxTablesOf  = 100     // one function
)

// slots are the words of a frame that count.
type slots struct {
	size  int   // of the frame in words, up to the return address on amd64
	known bool  // otherwise any word may count
	top   bool  // there are no further frames
	words []int // their places, from the beginning of the frame
}

// slotsAt returns the slots of a function during a call that returns to pc.
func (p *pass) slotsAt(pc uintptr) *slots {
	found := p.slots[pc]
	if found == nil {
		found = p.readSlots(pc)
		p.slots[pc] = found
	}
	return found
}

// readSlots reads the tables of a function. Functions in assembly have none.
func (p *pass) readSlots(pc uintptr) *slots {
	here, l := p.sites.at(pc), p.layout
	r := &slots{size: int(here.size / 8), top: here.flags&top != 0}
	if here.flags&(unknown|begin|last|injects) != 0 || here.size%8 != 0 {
		return r
	}
	f := findfunc(pc)
	index, ok := f.value(l, f.table(l, tableSlots), runtime.FuncForPC(pc).Entry(), pc-1)
	if !ok {
		return r
	}
	locals, n, ok := stackMap(f.data(l, dataLocals), index)
	if !ok || n >= max(r.size, 1) {
		return r
	}
	args, _, ok := stackMap(f.data(l, dataArgs), index)
	if !ok {
		return r
	}
	end, begin := r.size-1, r.size+1 // the saved frame pointer and the return address are between them
	for _, at := range locals {
		r.words = append(r.words, end-n+at)
	}
	for _, at := range args {
		r.words = append(r.words, begin+at)
	}
	objects, ok := stackObjects(f.data(l, dataObjects), end, begin)
	r.words, r.known = append(r.words, objects...), ok
	return r
}

// stackMap reads an element of a runtime.stackmap, which is about n words. It returns which
// of them count.
func stackMap(at uintptr, index int32) (words []int, n int, ok bool) {
	if at == 0 {
		return nil, 0, false
	}
	head := load(at)
	count, n := int32(head), int(int32(head>>32))
	if index < 0 || index >= count || n < 0 || n > maxSlots {
		return nil, 0, false
	}
	first := at + mapBits + uintptr(index)*uintptr((n+7)/8)
	for i := range n {
		if uint8(load(first+uintptr(i/8)))>>(i%8)&1 != 0 {
			words = append(words, i)
		}
	}
	return words, n, true
}

// stackObjects reads a list of runtime.stackObjectRecord: the variables that other words may
// point to. There need not be one. All words of such a variable count, since nothing looks
// for what points to it. Locals are before end, and arguments from begin on.
func stackObjects(at uintptr, end, begin int) (words []int, ok bool) {
	if at == 0 {
		return nil, true
	}
	n := load(at)
	if n > maxSlots {
		return nil, false
	}
	for i := range n {
		record := load(at + 8 + i*objectRecord)
		offset, size := int(int32(record)), int(int32(record>>32))
		if size < 0 || size > 8*maxSlots || offset%8 != 0 {
			return nil, false
		}
		first := end + offset/8
		if offset >= 0 {
			first = begin + offset/8
		}
		if first < 0 {
			continue // it is not there yet
		}
		for k := range (size + 7) / 8 {
			words = append(words, first+k)
		}
	}
	return words, true
}

// table returns the offset of a table of numbers of a function, or 0 (pcdatastart in
// runtime/symtab.go).
func (f function) table(l *layout.Layout, n uint32) uint32 {
	if n >= *(*uint32)(unsafe.Add(f.fn, l.Func.NPCData)) {
		return 0
	}
	return *(*uint32)(unsafe.Add(f.fn, l.Func.Size+4*layout.Offset(n)))
}

// data returns the address of further data of a function, or 0 (funcdata in
// runtime/symtab.go).
func (f function) data(l *layout.Layout, n uint8) uintptr {
	tables := *(*uint32)(unsafe.Add(f.fn, l.Func.NPCData))
	if n >= *(*uint8)(unsafe.Add(f.fn, l.Func.NFuncData)) || tables > maxTablesOf {
		return 0
	}
	offset := *(*uint32)(unsafe.Add(f.fn, l.Func.Size+4*layout.Offset(tables)+4*layout.Offset(n)))
	if offset == 1<<32-1 {
		return 0
	}
	return moduleWord(f.module, l.ModuleData.GoFunc) + uintptr(offset)
}

// eachSlot calls visit with the words of a stack that count. The stack begins with the frame
// to which a call returns at pc. eachSlot returns false if it does not know all frames. Then
// all words from there on count.
func (p *pass) eachSlot(pc uintptr, stack []uint64, visit func(word uint64)) bool {
	for range maxFrames {
		f := p.slotsAt(pc)
		if f.top {
			return true
		}
		if !f.known || f.size+1 >= len(stack) {
			break
		}
		for _, at := range f.words {
			if at < len(stack) {
				visit(stack[at])
			}
		}
		if runtime.GOARCH != "arm64" {
			pc, stack = uintptr(stack[f.size]), stack[f.size+1:]
			continue
		}
		if f.size == 0 { // only a function that calls none has no frame
			break
		}
		pc, stack = uintptr(stack[0]), stack[f.size:]
	}
	for _, word := range stack {
		visit(word)
	}
	return false
}
