//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import "time"

// scan marks what a part of the memory leads to.
func (s *search) scan(at, size uintptr) {
	for size >= 8 && !s.heap.late {
		n := min(int(size/8), len(s.chunk))
		copyWords(&s.chunk[0], at, n)
		s.markAll(s.chunk[:n])
		at += 8 * uintptr(n)
		size -= 8 * uintptr(n)
	}
}

// markSome marks what the words lead to that are pointers.
func (s *search) markSome(words []uint64, mask uint64) {
	s.count(len(words))
	lo, size := uint64(s.heap.lo), uint64(s.heap.hi-s.heap.lo)
	for i, w := range words {
		if mask>>i&1 != 0 && w-lo < size {
			s.mark(w)
		}
	}
}

// The bounds of a search. To read maxWords takes about 20 ms, if others do not compete for
// the CPU.
const (
	wordsPerClock = 1 << 14
	maxWords      = 4 << 20
)

// keepSome keeps the words that are pointers.
func (s *search) keepSome(words []uint64, mask uint64) {
	for i, w := range words {
		if mask>>i&1 != 0 {
			s.fields = append(s.fields, w)
		}
	}
}

// count counts words, and sometimes looks at the clock.
func (s *search) count(words int) {
	before := s.scanned / wordsPerClock
	if s.scanned += words; s.scanned/wordsPerClock != before && (s.scanned > maxWords || time.Now().After(s.deadline)) {
		s.heap.late = true
	}
}

// markAll marks what the words lead to, each of which may be a pointer.
func (s *search) markAll(words []uint64) {
	s.count(len(words))
	lo, size := uint64(s.heap.lo), uint64(s.heap.hi-s.heap.lo)
	for _, w := range words {
		if w-lo < size {
			s.mark(w)
		}
	}
}

// mark marks the object at an address, if there is one.
func (s *search) mark(word uint64) {
	addr := uintptr(word)
	k := s.heap.lookUp(addr)
	if k < 0 {
		return
	}
	sp := &s.heap.spans[k]
	if addr < sp.start || addr >= sp.limit {
		return
	}
	base := sp.start + (addr-sp.start)/sp.size*sp.size
	shared := sp.size == tinySize && !sp.scan
	if sp.aimed && shared {
		s.hit(base, addr)
	}
	if !sp.mark(base) {
		return
	}
	if sp.aimed && !shared {
		s.hit(base, 0)
	}
	if sp.scan {
		s.work = append(s.work, object{base, k})
	}
	if sp.weak {
		for _, o := range s.weak[base] {
			s.mark(uint64(o))
		}
	}
}

// shareable is how far before a semaphore a struct with it can begin in a block that
// small objects share.
const shareable = 8

// hit revives the goroutines that wait for something in an object. In a block that small
// objects share, addr must be of the object that they wait for.
func (s *search) hit(base, addr uintptr) {
	for _, i := range s.targets[base] {
		if addr == 0 {
			s.revive(i)
			continue
		}
		for _, q := range s.waits[i].queues {
			if addr <= q.addr && q.addr-addr <= shareable {
				s.revive(i)
			}
		}
	}
}

// goroutine marks what a goroutine leads to. It returns false if it moves.
func (s *search) goroutine(g uintptr) (ok bool) {
	defer func() {
		if isFault(recover()) {
			ok = false
		}
	}()
	r, l := s.second.record, s.layout
	for range tries {
		copyWords(&r[0], g, len(r))
		switch s.status(r) {
		case l.Status.Dead, l.Status.Idle, l.Status.DeadExtra:
			return true
		case l.Status.Running:
			return false
		}
		lo, hi := uintptr(r.word(l.G.StackLo)), uintptr(r.word(l.G.StackHi))
		sp := uintptr(r.word(l.G.SchedSP))
		if in := uintptr(r.word(l.G.SyscallSP)); in != 0 {
			sp = min(sp, in)
		}
		if sp < lo || sp > hi || lo == 0 {
			continue
		}
		n := int(hi-sp) / 8
		if n > maxWords {
			s.heap.late = true
			return true
		}
		if cap(s.stack) < n {
			s.stack = make([]uint64, n+n/2)
		}
		if n > 0 {
			copyWords(&s.stack[:n][0], sp, n)
		}
		s.fields = s.fields[:0] // of its runtime.g: one that has not run yet has its function only there
		if base, k := s.heap.object(g); k >= 0 && s.heap.spans[k].scan {
			s.heap.pointers(base, &s.heap.spans[k], s.keepSome)
		}
		copyWords(&s.after[0], g, len(s.after))
		if s.same(r, s.after) {
			s.markAll(s.fields)
			if !s.waitsOutside(r) {
				s.markAll(s.stack[:n])
				return true
			}
			s.markQueues(uintptr(r.word(l.G.Waiting)))
			pc, frames := s.outside(uintptr(r.word(l.G.SchedPC)), s.stack[:n])
			s.count(len(frames))
			s.eachSlot(pc, frames, s.mark)
			return true
		}
	}
	return false
}

// settleMoving reads the goroutines that were running, in an instant in which the
// program stops (see settle). It returns false if some could not be read.
func (s *search) settleMoving() bool {
	left := stopTime
	for range attempts {
		began := time.Now()
		stop()
		left -= time.Since(began)
		still := s.moving[:0]
		for _, g := range s.moving {
			if !s.goroutine(g) {
				still = append(still, g)
			}
		}
		if s.moving = still; len(still) == 0 {
			return true
		}
		if left < 0 {
			break
		}
	}
	return false
}
