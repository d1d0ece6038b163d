//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// What a variable leads to can be used by any code, at any time. So a wait that ends only
// if some code uses a variable is no proof of a fault, and most of these waits are healthy:
// workers of an idle server wait so for jobs. This file finds those that are hardly healthy.

// The places of the fields of runtime.hchan. compareMemory checks one of them.
const (
	channelTimer     = 32
	channelReceivers = 64 // the first and the last sudog
	channelSenders   = 80
)

// longWait is how long a goroutine must have waited before it is suspected.
const longWait = time.Minute

// held returns the goroutines of which only variables hold what they wait for, and whose
// wait is none of a program that is idle. among are the indexes of the waits that only
// variables lead to. It also returns the others of these waits, if it finds any.
//
// A goroutine that waits for a value or a signal may be a worker without work: whatever its
// stack leads to counts as used. One that waits until somebody takes a value, gives back
// a lock or ends its work has done its part, and a timer that does not run wakes nobody.
// Such a goroutine is suspected if the one that started it has ended or is suspected too:
// what runs for the whole life of a program is mostly started by main or by something that
// also stays.
func (s *search) held(among []int) ([]Stranded, error) {
	suspects := s.suspects(among)
	if len(suspects) == 0 {
		return nil, nil
	}
	for i := range s.heap.spans {
		clear(s.heap.spans[i].marks)
	}
	s.work, s.live, s.moving, s.stranded = s.work[:0], slices.DeleteFunc(append(s.live[:0], s.running...), s.isOwn), s.moving[:0], 0
	for i := range s.waits {
		switch w := &s.waits[i]; {
		case suspects[i]:
			w.live = false
			s.stranded++
		case w.live: // the others can never continue, and their stacks do not count
			s.live = append(s.live, w.g)
		}
		for _, q := range s.waits[i].queues {
			s.seen(q.sudog)
		}
	}
	for _, g := range s.list {
		s.seen(g)
	}
	s.roots()
	if err := s.followAll(); err != nil || s.stranded == 0 {
		return nil, err
	}
	var found []Stranded
	for _, i := range among {
		w := &s.waits[i]
		kind := Idle
		if suspects[i] && !w.live {
			kind = Held
		}
		if again, ok := s.waitOf(w.g); ok && again.signature == w.signature {
			found = append(found, Stranded{ID: uint64(w.id), Wait: w.signature, Kind: kind})
		}
	}
	return found, nil
}

// suspects returns which of the waits may be none of an idle program.
func (s *search) suspects(among []int) map[int]bool {
	suspects := make(map[int]bool)
	s.noted = s.lastNoted()
	for _, i := range among {
		if w := &s.waits[i]; w.id != 1 && s.oldEnough(w.g) && (w.kind == forLock || w.kind == forEnd || s.sends(w) || stopped(w)) {
			suspects[i] = true
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	innocent := make(map[uint64]bool) // the goroutines that are there, and are not suspected
	for _, g := range s.running {
		innocent[uint64(load(g+uintptr(s.layout.G.GoID)))] = true
	}
	for i := range s.waits {
		if s.waits[i].live && !suspects[i] {
			innocent[uint64(s.waits[i].id)] = true
		}
	}
	for more := true; more; {
		more = false
		for i := range suspects {
			w := &s.waits[i]
			if w.kind != forLock && innocent[uint64(load(w.g+uintptr(s.layout.G.ParentGoID)))] {
				delete(suspects, i)
				innocent[uint64(w.id)] = true
				more = true
			}
		}
	}
	return suspects
}

// oldEnough reports whether a goroutine may have waited for long. When its wait began is
// not known, only when that was at the earliest: at each collection, the runtime notes for
// those that have begun to wait when the collection before it ended (waitsince, which
// markroot sets to work.tstart). So a wait without a note is younger than the last
// collection, unless that was the first one.
func (s *search) oldEnough(g uintptr) bool {
	since := int64(load(g + uintptr(s.layout.G.WaitSince)))
	if since == 0 {
		since = s.noted
	}
	return s.now-since >= int64(s.longWait)
}

// started is when this package was initialized.
var started = time.Now()

// lastNoted returns when a wait began at the earliest if the runtime has not noted it.
func (s *search) lastNoted() int64 {
	var collections debug.GCStats
	debug.ReadGCStats(&collections)
	if collections.NumGC > 1 {
		return s.now - int64(time.Since(collections.LastGC))
	}
	return s.now - int64(time.Since(started))
}

// sends reports whether a goroutine waits for others to take a value. If it also waits
// for something else, as a select does, this counts too.
func (s *search) sends(w *wait) bool {
	if w.kind == forSend {
		return true
	}
	if w.kind != forChannel {
		return false
	}
	const most = 1 << 12 // in a queue
	for _, q := range w.queues {
		at := load(q.addr + channelSenders)
		for n := 0; at != 0 && n < most; n++ {
			if at == q.sudog {
				return true
			}
			at = load(at + sudogNext)
		}
	}
	return false
}

// stopped reports whether a goroutine waits only for a timer. It is one that does not run,
// for otherwise the runtime would lead to its channel.
func stopped(w *wait) bool {
	return w.kind == forChannel && len(w.queues) == 1 && load(w.queues[0].addr+channelTimer) != 0
}

// roots marks what leads to objects, other than goroutines and variables.
func (s *search) roots() {
	s.specials()
	s.timers()
}

// timers marks what timers lead to: each P has a heap of them.
func (s *search) timers() {
	for _, p := range s.procs {
		s.mark(uint64(p))
	}
}

// findProcs returns the Ps of the runtime (runtime.allp). No name leads to the list, so it
// searches the runtime's variables for it: each P begins with its number and its status.
func (s *search) findProcs() bool {
	const (
		statuses   = 5
		maxProcs   = 1 << 16
		typeHeader = 8 // some objects begin with the address of their type
	)
	module := findfunc(reflect.ValueOf(runtime.NumGoroutine).Pointer()).module
	start, end := moduleWord(module, s.layout.ModuleData.BSS), moduleWord(module, s.layout.ModuleData.EBSS)
	n := uintptr(runtime.GOMAXPROCS(0))
	isProc := func(p uintptr, i uintptr) (ok bool) {
		if base, k := s.heap.object(p); k < 0 || p-base > typeHeader {
			return false
		}
		head := load(p)
		return uintptr(uint32(head)) == i && head>>32 < statuses
	}
	if start%8 != 0 || end <= start || end-start > maxData {
		return false
	}
search:
	for at := start; at+24 <= end; at += 8 {
		list, length, room := load(at), load(at+8), load(at+16)
		if length != n || room < n || room > maxProcs {
			continue
		}
		if _, k := s.heap.object(list); k < 0 || list%8 != 0 {
			continue
		}
		procs := make([]uintptr, n)
		for i := range n {
			if procs[i] = load(list + 8*i); !isProc(procs[i], i) {
				continue search
			}
		}
		s.procs = procs
		return true
	}
	return false
}
