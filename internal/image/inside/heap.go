//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"errors"
	"reflect"
	"runtime"
	"runtime/debug"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// The heap consists of arenas, arenas of pages, and spans of pages have objects of one
// size (runtime/malloc.go and mheap.go). findHeap compares what is read with what
// runtime.findObject says.
const (
	pageShift  = 13
	arenaShift = 26
	arenaPages = 1 << (arenaShift - pageShift)
	maxArenas  = 1 << 22
	nearArenas = 4096 // arenas around the own objects: 256 GiB to each side
	tinySize   = 16   // of the blocks that small objects share (the tiny allocator)
	spanInUse  = 1    // runtime.mSpanInUse
)

// few is a type with pointers at known places.
type few struct {
	a uintptr
	b *int
	c [2]uintptr
	d *int
	e uintptr
}

// samples are objects of the heap of which the spans and pointers are known.
var samples struct {
	few  *few
	many *[20]few
	none *[40]uintptr
}

// The places of the fields of runtime.mspan, and of runtime.heapArena after its spans.
const (
	spanStart    = 24
	spanClass    = 98 // the lowest bit is set if the objects have no pointers
	spanState    = 99
	spanElemSize = 104
	spanLimit    = 112
	spanSpecials = 128
	spanType     = 152 // of a large object
	spanWords    = 17

	arenaSpecials     = 67584 // a bit for each page that begins a span with specials
	arenaSpecialWords = arenaPages / 64
)

// heap looks up the objects of the heap. It is not for concurrent use.
type heap struct {
	arenas uintptr // the address of the array of pointers to the arenas
	lo, hi uintptr // all objects are in here
	spans  []span
	pages  []page // a hash table; its length is a power of two
	last   page   // that was looked up
	used   int
	late   bool // not all can be read, or not in time: what is found says nothing
	buf    [spanWords]uint64

	words              [block]uint64
	typ                [typeWords]uint64 // the type that was read last
	lastType, lastMask uintptr

	marksAtEnd uintptr // the bytes at the end of a span of small objects, behind the notes of their pointers
}

// span is what is known of a runtime.mspan.
type span struct {
	start, limit, size uintptr
	address            uintptr  // of the runtime.mspan
	scan               bool     // the objects may have pointers
	large              bool     // it is a single object
	aimed              bool     // a goroutine waits for something in one of the objects
	weak               bool     // the runtime keeps weak pointers in it
	marks              []uint64 // a bit for each object
}

// page says which span a page belongs to.
type page struct {
	number uintptr // 0: the entry is free
	span   int32   // -1: none
}

// base is the lowest address of an arena (runtime.arenaBaseOffset).
func arenaBase() uintptr {
	if runtime.GOARCH == "amd64" {
		return 0xffff800000000000
	}
	return 0
}

func arenaOf(addr uintptr) uintptr { return (addr - arenaBase()) >> arenaShift }

// findHeap returns the address of the array of arenas, and heap.marksAtEnd. No name leads to it. So it
// searches the runtime's variables for a pointer that leads from an object to its span.
func findHeap(l *layout.Layout) (arenas, marksAtEnd uintptr, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	samples.few, samples.many, samples.none = new(few), new([20]few), new([40]uintptr)
	objects := [...]unsafe.Pointer{unsafe.Pointer(samples.few), unsafe.Pointer(samples.many), unsafe.Pointer(samples.none)}
	module := findfunc(reflect.ValueOf(runtime.NumGoroutine).Pointer()).module
	start, end := moduleWord(module, l.ModuleData.BSS), moduleWord(module, l.ModuleData.EBSS)
	if start%8 != 0 || end <= start || end-start > maxData {
		return 0, 0, errHeap
	}
	const aligned = 1 << 12
	for at := start; at+8 <= end && arenas == 0; at += 8 {
		if p := load(at); p >= aligned && p%aligned == 0 && p>>47 == 0 && leadsTo(p, objects[:]) {
			arenas = p
		}
	}
	if arenas == 0 {
		return 0, 0, errors.New("the heap was not found in the program's memory")
	}
	h := newHeap(arenas, 0)
	for i, o := range objects {
		at := uintptr(o)
		base, k := h.object(at + 8)
		want, _, _ := findObject(at+8, 0, 0)
		if k < 0 || base != want || h.spans[k].scan == (i == 2) || i == 0 && h.spans[k].size != unsafe.Sizeof(few{}) {
			return 0, 0, errHeap
		}
	}
	err = h.checkPointers()
	return arenas, h.marksAtEnd, err
}

var errHeap = errors.New("objects of the heap were read as other ones")

// leadsTo reports whether an address is that of the array of arenas: it leads from
// objects to the spans that the runtime says they are in.
func leadsTo(arenas uintptr, objects []unsafe.Pointer) (ok bool) {
	defer func() {
		if isFault(recover()) {
			ok = false
		}
	}()
	for _, o := range objects {
		arena := load(arenas + 8*arenaOf(uintptr(o)))
		_, s, _ := findObject(uintptr(o), 0, 0)
		if arena == 0 || arena%8 != 0 || load(arena+uintptr(o)>>pageShift%arenaPages*8) != uintptr(s) {
			return false
		}
	}
	return true
}

// newHeap returns a heap without any marks.
func newHeap(arenas, marksAtEnd uintptr) *heap {
	h := &heap{arenas: arenas, marksAtEnd: marksAtEnd, pages: make([]page, 1<<10)}
	own := arenaOf(uintptr(unsafe.Pointer(h)))
	for i := own - min(own, nearArenas); i < min(own+nearArenas, maxArenas); i++ {
		if load(arenas+8*i) == 0 {
			continue
		}
		start := i<<arenaShift + arenaBase()
		if h.lo == 0 {
			h.lo = start
		}
		h.hi = start + 1<<arenaShift
	}
	// If the runtime gets no memory there, it takes some at other addresses (mallocinit in
	// runtime/malloc.go).
	const step = 1 << (40 - arenaShift)
	for i := arenaOf(h.lo) % step; i < maxArenas; i += step {
		if i != arenaOf(h.lo) && load(h.arenas+8*i) != 0 {
			h.late = true
		}
	}
	return h
}

// checkPointers finds out where the pointers of small objects are noted, and returns an
// error if those of the samples are not found.
func (h *heap) checkPointers() (err error) {
	defer func() {
		if isFault(recover()) {
			err = errHeap
		}
	}()
	for _, h.marksAtEnd = range [...]uintptr{inlineMarks, 0} {
		found := 0
		samples.few.a, samples.few.b = 1, new(int)
		samples.few.d, samples.few.e = samples.few.b, uintptr(unsafe.Pointer(samples.few.b))
		for i := range samples.many {
			samples.many[i] = *samples.few
		}
		for _, o := range [...]unsafe.Pointer{unsafe.Pointer(samples.few), unsafe.Pointer(samples.many)} {
			base, k := h.object(uintptr(o))
			h.pointers(base, &h.spans[k], func(words []uint64, mask uint64) {
				for i, w := range words {
					if mask>>i&1 != 0 && w == uint64(samples.few.e) {
						found++
					} else if mask>>i&1 != 0 && w != 0 {
						found = -1 << 10
					}
				}
			})
		}
		if found == 2+20*2 {
			return nil
		}
	}
	return errHeap
}

// lookUp returns the index of the span of an address, or -1 if there is no object.
func (h *heap) lookUp(addr uintptr) int32 {
	if addr < h.lo || addr >= h.hi {
		return -1
	}
	if number := addr >> pageShift; number != h.last.number { // what follows is mostly near
		h.last = page{number, h.find(number)}
	}
	return h.last.span
}

// find returns the index of the span of a page, or -1.
func (h *heap) find(number uintptr) int32 {
	for i := h.hash(number); ; i++ {
		switch e := &h.pages[i&(len(h.pages)-1)]; e.number {
		case number:
			return e.span
		case 0:
			return h.add(number)
		}
	}
}

func (h *heap) hash(number uintptr) int { return spread(number) }

func (h *heap) add(number uintptr) int32 {
	found := h.read(number)
	if 2*h.used >= len(h.pages) {
		old := h.pages
		h.pages = make([]page, 2*len(old))
		for _, e := range old {
			if e.number != 0 {
				*h.free(e.number) = e
			}
		}
	}
	h.used++
	*h.free(number) = page{number, found}
	return found
}

// free returns the free entry for a page.
func (h *heap) free(number uintptr) *page {
	for i := h.hash(number); ; i++ {
		if e := &h.pages[i&(len(h.pages)-1)]; e.number == 0 {
			return e
		}
	}
}

// read reads the span of a page.
func (h *heap) read(number uintptr) int32 {
	arena := load(h.arenas + 8*arenaOf(number<<pageShift))
	if arena == 0 {
		return -1
	}
	at := load(arena + number%arenaPages*8)
	if at == 0 {
		return -1
	}
	copyWords(&h.buf[0], at, spanWords)
	r := record(h.buf[:])
	s := span{
		start: uintptr(r.word(spanStart)), limit: uintptr(r.word(spanLimit)), size: uintptr(r.word(spanElemSize)),
		address: at, scan: r.byte(spanClass)&1 == 0, large: r.byte(spanClass)>>1 == 0,
	}
	if r.byte(spanState) != spanInUse || s.size < 8 || s.start < h.lo || s.limit > h.hi || s.limit <= s.start || number < s.start>>pageShift {
		return -1
	}
	if first := s.start >> pageShift; first != number {
		return h.lookUp(s.start)
	}
	s.marks = make([]uint64, (s.limit-s.start)/s.size/64+1)
	h.spans = append(h.spans, s)
	return int32(len(h.spans) - 1)
}

// object returns the base of the object at an address, and the index of its span.
func (h *heap) object(addr uintptr) (base uintptr, index int32) {
	index = h.lookUp(addr)
	if index < 0 {
		return 0, -1
	}
	s := &h.spans[index]
	if addr < s.start || addr >= s.limit {
		return 0, -1
	}
	return s.start + (addr-s.start)/s.size*s.size, index
}

// mark marks the object at an address. It returns false if it was marked before.
func (s *span) mark(addr uintptr) bool {
	k := (addr - s.start) / s.size
	bit := uint64(1) << (k % 64)
	if s.marks[k/64]&bit != 0 {
		return false
	}
	s.marks[k/64] |= bit
	return true
}

// eachSpecial calls f for each special record of a kind, with the address of its object
// and the words of the record.
func (h *heap) eachSpecial(kinds uint64, f func(kind byte, object uintptr, words []uint64)) {
	const (
		recordWords = 7
		most        = 1 << 20
	)
	var bits [arenaSpecialWords]uint64
	var words [recordWords]uint64
	n := 0
	for start := h.lo; start < h.hi; start += 1 << arenaShift {
		arena := load(h.arenas + 8*arenaOf(start))
		if arena == 0 {
			continue
		}
		if n == most {
			h.late = true
		}
		copyWords(&bits[0], arena+arenaSpecials, len(bits))
		for i := range uintptr(arenaPages) {
			if bits[i/64] == 0 || bits[i/64]>>(i%64)&1 == 0 {
				continue
			}
			s := load(arena + 8*i)
			if s == 0 {
				continue
			}
			base := load(s + spanStart)
			for at := load(s + spanSpecials); at != 0 && n < most; n++ {
				copyWords(&words[0], at, recordWords)
				if kind := byte(words[2]); kinds>>kind&1 != 0 {
					f(kind, base+uintptr(words[1]), words[3:])
				}
				at = uintptr(words[0])
			}
		}
	}
}
