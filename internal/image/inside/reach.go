//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/ours"
)

// search looks for goroutines that nothing leads to. It works as a garbage collector
// does: from the stacks of goroutines that can run, and from the variables, it goes from
// object to object, and takes each word that may be a pointer for one. A goroutine that
// waits can run if what it waits for is found. Then its stack counts too.
type search struct {
	*pass
	heap     *heap
	waits    []wait
	queues   []queue               // of all waits
	targets  map[uintptr][]int     // maps objects to the waits for something in them
	weak     map[uintptr][]uintptr // maps objects that have weak pointers to their objects
	stranded int                   // the number of waits without live
	list     []uintptr             // all goroutines
	longWait time.Duration         // see held
	kinds    map[State]waitKind    // caches waitKind
	outsides map[State]bool        // caches waitsOutside
	noted    int64                 // see oldEnough
	running  []uintptr             // goroutines that do not wait for others
	procs    []uintptr             // the Ps of the runtime
	live     []uintptr             // goroutines that can run, and are not searched yet
	moving   []uintptr             // such ones that could not be read
	work     []object
	scanned  int // words
	deadline time.Time
	stack    []uint64
	fields   []uint64
	chunk    [512]uint64
}

type object struct {
	base uintptr
	span int32
}

var heapFound struct {
	sync.Mutex
	done               bool
	arenas, marksAtEnd uintptr
	err                error
}

// openHeap returns a heap without marks.
func openHeap(l *layout.Layout) (*heap, error) {
	heapFound.Lock()
	defer heapFound.Unlock()
	if !heapFound.done {
		heapFound.arenas, heapFound.marksAtEnd, heapFound.err = findHeap(l)
		heapFound.done = true
	}
	if heapFound.err != nil {
		return nil, heapFound.err
	}
	return newHeap(heapFound.arenas, heapFound.marksAtEnd), nil
}

// errLate is the error of a search that the deadline has ended.
var errLate = errors.New("the search was not finished in time")

// Unreached returns the goroutines that wait for something that nothing leads to which
// can still run: no goroutine and no variable. The program goes on meanwhile, so this
// counts only if a later call returns the same.
//
// It also returns the goroutines that wait for something which only variables lead to, if
// one of them is suspected not to continue either; see held.
func Unreached(limit time.Duration) ([]Stranded, error) { return unreached(limit, longWait) }

func unreached(limit, longWait time.Duration) ([]Stranded, error) {
	l, allgs, err := open()
	if err != nil {
		return nil, err
	}
	h, err := openHeap(l)
	if err != nil {
		return nil, err
	}
	type result struct {
		found []Stranded
		err   error
	}
	done, caller := make(chan result, 1), getg()
	ours.Go(func() { // not here: the stack of the caller counts
		var r result
		defer func() {
			if v := recover(); v != nil {
				r = result{err: fmt.Errorf("the search failed: %v", v)}
			}
			done <- r
		}()
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		s := &search{pass: newPass(l), heap: h, list: list(allgs), targets: make(map[uintptr][]int), weak: make(map[uintptr][]uintptr), kinds: make(map[State]waitKind), outsides: make(map[State]bool), deadline: time.Now().Add(limit), longWait: longWait}
		r.found, r.err = s.run(caller)
	})
	r := <-done
	return r.found, r.err
}

func (s *search) run(caller uintptr) ([]Stranded, error) {
	const goroutineWords = 64 // that the look at a goroutine costs
	if len(s.list) > maxWords/goroutineWords {
		return nil, errLate // it would not be finished
	}
	for _, g := range s.list {
		s.sort(g, caller)
		if s.count(goroutineWords); s.heap.late {
			return nil, errLate
		}
	}
	s.stranded = 0
	for i := range s.waits {
		s.aim(i)
	}
	s.running = slices.Clone(s.live)
	s.live = slices.DeleteFunc(s.live, s.isOwn)
	known := s.findProcs()
	s.roots()
	if err := s.followAll(); err != nil {
		return nil, err
	}
	byVariables := s.strandedWaits()
	s.variables()
	if err := s.followAll(); err != nil {
		return nil, err
	}
	var found []Stranded
	for _, i := range s.strandedWaits() {
		w := &s.waits[i]
		if again, ok := s.waitOf(w.g); ok && again.signature == w.signature {
			found = append(found, Stranded{ID: uint64(w.id), Wait: w.signature})
		}
	}
	byVariables = slices.DeleteFunc(byVariables, func(i int) bool { return !s.waits[i].live })
	if len(byVariables) == 0 || !known {
		return found, nil
	}
	held, err := s.held(byVariables)
	if err != nil { // what nothing leads to is known all the same
		return found, nil
	}
	return append(found, held...), nil
}

// followAll searches what the roots, the work and the live goroutines lead to.
func (s *search) followAll() error {
	for s.stranded > 0 && !s.heap.late {
		s.follow()
		if len(s.moving) == 0 || s.stranded == 0 {
			break
		}
		if !s.settleMoving() {
			return errLate
		}
	}
	if s.heap.late {
		return errLate
	}
	return nil
}

// strandedWaits returns the indexes of the waits without live.
func (s *search) strandedWaits() (all []int) {
	for i := range s.waits {
		if s.stranded > 0 && !s.waits[i].live {
			all = append(all, i)
		}
	}
	return all
}

// variables marks what the variables of the program lead to.
func (s *search) variables() {
	first := findfunc(reflect.ValueOf(runtime.NumGoroutine).Pointer()).module
	const maxModules = 1000
	for module, n := first, 0; module != nil && n < maxModules; n++ {
		m := &s.layout.ModuleData
		for _, section := range [][2]layout.Offset{{m.Data, m.EData}, {m.BSS, m.EBSS}} {
			start, end := (moduleWord(module, section[0])+7)&^7, moduleWord(module, section[1])
			if end > start && end-start > maxData {
				s.heap.late = true // without all variables, the result would be wrong
			} else if end > start {
				s.scan(start, end-start)
			}
		}
		module = *(*unsafe.Pointer)(unsafe.Add(module, m.Next))
	}
}

// The kinds of runtime.special that lead to objects.
const (
	specialFinalizer = 2
	specialWeak      = 3
	specialCleanup   = 7
)

// specials marks what finalizers and cleanups lead to, and notes the weak pointers.
func (s *search) specials() {
	s.heap.eachSpecial(1<<specialWeak, func(_ byte, object uintptr, words []uint64) {
		if base, k := s.heap.object(uintptr(words[0])); k >= 0 {
			s.heap.spans[k].weak = true
			s.weak[base] = append(s.weak[base], object)
		}
	})
	s.heap.eachSpecial(1<<specialFinalizer|1<<specialCleanup, func(kind byte, object uintptr, words []uint64) {
		if kind == specialFinalizer {
			s.mark(uint64(object))
		}
		s.markAll(words)
	})
}

// follow searches what the work and the live goroutines lead to.
func (s *search) follow() {
	for !s.heap.late && s.stranded > 0 {
		if n := len(s.work); n > 0 {
			o := s.work[n-1]
			s.work = s.work[:n-1]
			s.heap.pointers(o.base, &s.heap.spans[o.span], s.markSome)
			continue
		}
		n := len(s.live)
		if n == 0 {
			return
		}
		g := s.live[n-1]
		s.live = s.live[:n-1]
		if !s.goroutine(g) {
			s.moving = append(s.moving, g)
		}
	}
}
