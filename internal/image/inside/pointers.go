//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

// Where the runtime notes which words of an object are pointers (runtime/mbitmap.go). Of
// objects up to maxNoted bytes, there is a bit for each word near the end of the span,
// which is one page. Others begin with the address of their type, or their span has it.
const (
	maxNoted    = 512
	noteBytes   = 1 << pageShift / 8 / 8
	inlineMarks = 128 // runtime.spanInlineMarkBits, for objects of 16 bytes and more
	markedSize  = 16
)

// The places of the fields of abi.Type.
const (
	typeSize     = 0
	typePtrBytes = 8
	typeFlag     = 20
	typeGCData   = 32
	typeWords    = 5

	maskOnDemand = 1 << 4 // abi.TFlagGCMaskOnDemand
)

const block = 64 // words, for which a mask has a bit each

// pointers calls f with the words of an object, in blocks. The mask says which of them
// are pointers.
func (h *heap) pointers(base uintptr, s *span, f func(words []uint64, mask uint64)) {
	end := base + s.size
	if s.size <= maxNoted {
		notes := s.start + 1<<pageShift - noteBytes
		if s.size >= markedSize {
			notes -= h.marksAtEnd
		}
		first := (base - s.start) / 8
		at, shift := notes+first/64*8, first%64
		mask := uint64(load(at)) >> shift
		if n := s.size / 8; shift+n > 64 {
			mask |= uint64(load(at+8)) << (64 - shift)
		}
		if n := s.size / 8; n < 64 {
			mask &= 1<<n - 1
		}
		h.some(base, end, mask, f)
		return
	}
	typ := uintptr(0)
	if s.large {
		typ = load(s.address + spanType)
	} else {
		typ = load(base)
		base += 8
	}
	t, gcMask := h.typeOf(typ)
	if typ == 0 {
		return // it is new
	}
	size, ptrBytes := uintptr(t.word(typeSize)), uintptr(t.word(typePtrBytes))
	if gcMask == 0 || size == 0 || size%8 != 0 || ptrBytes > size || ptrBytes == 0 {
		for ; base < end && !h.late; base += 8 * block { // any word may be one
			h.some(base, end, 1<<block-1, f)
		}
		return
	}
	for ; base+8 <= end && !h.late; base += size {
		for at := uintptr(0); at < ptrBytes && base+at < end && !h.late; at += 8 * block {
			mask := uint64(load(gcMask + at/64))
			if n := (ptrBytes - at + 7) / 8; n < block {
				mask &= 1<<n - 1
			}
			h.some(base+at, end, mask, f)
		}
	}
}

// some calls f for a block.
func (h *heap) some(at, end uintptr, mask uint64, f func(words []uint64, mask uint64)) {
	n := 0
	for m := mask; m != 0; m >>= 1 {
		n++
	}
	if n = min(n, int(end-at)/8); n <= 0 {
		return
	}
	copyWords(&h.words[0], at, n)
	f(h.words[:n], mask)
}

// typeOf reads a type, and where its mask is. The mask is 0 if it is not known, or if
// this is no type: the object may be free.
func (h *heap) typeOf(addr uintptr) (r record, mask uintptr) {
	r = h.typ[:]
	if addr == 0 || addr%8 != 0 {
		return r, 0
	}
	if addr == h.lastType {
		return r, h.lastMask
	}
	h.lastType = 0
	defer func() {
		if isFault(recover()) {
			mask = 0
		}
	}()
	copyWords(&r[0], addr, typeWords)
	if mask = uintptr(r.word(typeGCData)); r.byte(typeFlag)&maskOnDemand != 0 && mask != 0 {
		mask = load(mask)
	}
	if mask != 0 {
		_ = load(mask)
	}
	h.lastType, h.lastMask = addr, mask
	return r, mask
}
