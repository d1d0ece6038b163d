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
	maxTablesOf  = 100     // a function
)

// slots are the words of a frame that count.
type slots struct {
	size    int  // of the frame in words, up to the return address on amd64
	known   bool // otherwise any word may count
	top     bool // there are no further frames
	locals  bits // end before the saved frame pointer
	args    bits // begin behind the return address
	objects []stackObject
}

// bits has a bit for each of n words.
type bits struct {
	n    int
	mask []uint64
}

// stackObject is a variable that other words may point to. All of its words count, since
// nothing looks for what points to it.
type stackObject struct {
	inArgs bool
	at     int // words from the end of the locals, or from the beginning of the arguments
	n      int
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
	if r.locals, ok = stackMap(f.data(l, dataLocals), index); !ok || r.locals.n >= max(r.size, 1) {
		return r
	}
	if r.args, ok = stackMap(f.data(l, dataArgs), index); !ok {
		return r
	}
	r.objects, r.known = stackObjects(f.data(l, dataObjects))
	return r
}

// stackMap reads an element of a runtime.stackmap.
func stackMap(at uintptr, index int32) (b bits, ok bool) {
	if at == 0 {
		return b, false
	}
	head := load(at)
	count, n := int32(head), int(int32(head>>32))
	if index < 0 || index >= count || n < 0 || n > maxSlots {
		return b, false
	}
	b = bits{n, make([]uint64, (n+63)/64)}
	first := at + mapBits + uintptr(index)*uintptr((n+7)/8)
	for i := range n {
		if uint8(load(first+uintptr(i/8)))>>(i%8)&1 != 0 {
			b.mask[i/64] |= 1 << (i % 64)
		}
	}
	return b, true
}

// stackObjects reads a list of runtime.stackObjectRecord. There need not be one.
func stackObjects(at uintptr) (all []stackObject, ok bool) {
	if at == 0 {
		return nil, true
	}
	n := load(at)
	if n > maxSlots {
		return nil, false
	}
	for i := range n {
		record := load(at + 8 + i*objectRecord)
		offset, size := int32(record), int32(record>>32)
		if size < 0 || offset%8 != 0 {
			return nil, false
		}
		all = append(all, stackObject{inArgs: offset >= 0, at: int(offset / 8), n: int(size+7) / 8})
	}
	return all, true
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

// eachSlot calls visit with the words of a stack, in blocks. The mask says which of them
// count. The stack begins with the frame to which a call returns at pc. eachSlot returns
// false if it does not know all frames. Then all words of these and of what follows count.
func (p *pass) eachSlot(pc uintptr, stack []uint64, visit func(words []uint64, mask uint64)) bool {
	for range maxFrames {
		f := p.slotsAt(pc)
		if f.top {
			return true
		}
		locals, args := f.size-1, f.size+1 // the saved frame pointer and the return address are between them
		if !f.known || args >= len(stack) {
			break
		}
		f.locals.each(stack, locals-f.locals.n, visit)
		f.args.each(stack, args, visit)
		for _, o := range f.objects {
			at := locals + o.at
			if o.inArgs {
				at = args + o.at
			}
			if at >= 0 { // otherwise it is not there yet
				eachWord(stack[min(at, len(stack)):min(at+o.n, len(stack))], visit)
			}
		}
		if runtime.GOARCH != "arm64" {
			pc, stack = uintptr(stack[f.size]), stack[args:]
			continue
		}
		if f.size == 0 { // only a function that calls none has no frame
			break
		}
		pc, stack = uintptr(stack[0]), stack[f.size:]
	}
	eachWord(stack, visit)
	return false
}

// each calls visit with the words from at on for which there is a bit.
func (b bits) each(stack []uint64, at int, visit func(words []uint64, mask uint64)) {
	for i, mask := range b.mask {
		from := min(at+block*i, len(stack))
		visit(stack[from:min(from+block, at+b.n, len(stack))], mask)
	}
}

// eachWord calls visit with all words.
func eachWord(words []uint64, visit func(words []uint64, mask uint64)) {
	for len(words) > 0 {
		n := min(block, len(words))
		visit(words[:n], 1<<block-1)
		words = words[n:]
	}
}
