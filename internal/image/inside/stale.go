//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"runtime"
	"strings"

	"github.com/gomanhole/oneshot/internal/ours"
)

// A stack has words that the functions on it have not set. They may be from a goroutine
// that had the same memory before, and lead to what only that one has used. This file
// leaves out parts of stacks that lead to nothing of the program, but may have such words.

// waitsOutside reports whether a goroutine waits in a function of the runtime that has
// nothing of the program in its frame, other than what is in the frame of its caller or
// in the queue in which the goroutine waits.
func (s *search) waitsOutside(r record) bool {
	if s.status(r) != s.layout.Status.Waiting || s.kindOf(r) != program {
		return false
	}
	state := s.state(r)
	outside, known := s.outsides[state]
	if !known {
		text := StateText(state)
		outside = s.waitKind(state) != notWaiting || text == "IO wait" || text == "sleep"
		s.outsides[state] = outside
	}
	return outside
}

// outside returns the frames of a stack from the first one on that is not of the runtime,
// and the program counter of that one.
func (s *search) outside(pc uintptr, stack []uint64) (uintptr, []uint64) {
	const most = 10
	for range most {
		here := s.sites.at(pc)
		size := int(here.size / 8)
		if here.flags&(unknown|begin|top|last|injects) != 0 || here.flags&ofRuntime == 0 || size == 0 || size >= len(stack) {
			break
		}
		if runtime.GOARCH == "arm64" { // the return address is at the end of the frame
			pc, stack = uintptr(stack[0]), stack[size:]
		} else {
			pc, stack = uintptr(stack[size]), stack[size+1:]
		}
	}
	return pc, stack
}

// markQueues marks what a goroutine waits for: the pointer to it may be in frames that are
// left out.
func (s *search) markQueues(sudog uintptr) {
	for n := 0; sudog != 0 && n < maxWaits; n++ {
		channel := load(sudog + uintptr(s.layout.Sudog.C))
		s.mark(uint64(channel))
		s.mark(uint64(load(sudog + sudogElem)))
		if channel == 0 {
			return // the other fields are those of the queue of a semaphore
		}
		sudog = load(sudog + uintptr(s.layout.Sudog.WaitLink))
	}
}

// isOwn reports whether a goroutine is the manhole's, and is in no function of the program:
// a command of the program may run on it.
func (s *search) isOwn(g uintptr) bool {
	start := runtime.FuncForPC(load(g + uintptr(s.layout.G.StartPC)))
	if start == nil || !ours.Is(start.Name()) {
		return false
	}
	r := s.newReading()
	if s.steady(r, g) != steady || !r.whole {
		return false
	}
	for _, pc := range Expand(nil, r.stack) {
		if f := runtime.FuncForPC(pc - 1); f == nil || !harmless(f.Name()) {
			return false
		}
	}
	return true
}

// harmless reports whether a function belongs to the manhole, or to a package that it
// uses and that calls nothing of the program.
func harmless(function string) bool {
	for _, prefix := range [...]string{"github.com/gomanhole/oneshot", "runtime.", "internal/", "sync.", "syscall.", "os.", "os/signal.", "net.", "io.", "bufio.", "time."} {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
