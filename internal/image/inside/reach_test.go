//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"
	"unsafe"
	"weak"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// waiters are goroutines that wait for something of their own. Each sends its id first.
// prepare makes what it waits for. Its result, or what it refers to, can end the wait.
var waiters = map[string]func(ids chan<- uint64) any{
	"chan receive": func(ids chan<- uint64) any {
		c := make(chan int)
		go func() { ids <- ownID(); <-c }()
		return c
	},
	"chan send": func(ids chan<- uint64) any {
		c := make(chan *int)
		go func() { ids <- ownID(); c <- nil }()
		return c
	},
	"select": func(ids chan<- uint64) any {
		c, d := make(chan int), make(chan string)
		go func() {
			ids <- ownID()
			select {
			case <-c:
			case d <- "":
			}
		}()
		return c
	},
	"sync.Mutex.Lock": func(ids chan<- uint64) any {
		mu := new(sync.Mutex) // in a block that small objects share
		mu.Lock()
		go func() { ids <- ownID(); mu.Lock() }()
		return mu
	},
	"sync.RWMutex.Lock": func(ids chan<- uint64) any {
		mu := new(sync.RWMutex)
		mu.RLock()
		go func() { ids <- ownID(); mu.Lock() }()
		return mu
	},
	"sync.RWMutex.RLock": func(ids chan<- uint64) any {
		mu := new(struct {
			name string
			mu   sync.RWMutex
		})
		mu.mu.Lock()
		go func() { ids <- ownID(); mu.mu.RLock() }()
		return mu
	},
	"sync.WaitGroup.Wait": func(ids chan<- uint64) any {
		wg := new(sync.WaitGroup)
		wg.Add(1)
		go func() { ids <- ownID(); wg.Wait() }()
		return wg
	},
	"sync.Cond.Wait": func(ids chan<- uint64) any {
		cond := sync.NewCond(new(sync.Mutex))
		go func() { cond.L.Lock(); ids <- ownID(); cond.Wait() }()
		return cond
	},
}

// holders keep what a goroutine waits for, each in another way.
var holders = map[string]func(any){
	"nothing":    nil,
	"a variable": func(v any) { kept.one = v },
	"a map":      func(v any) { kept.many[new(int)] = []any{v} },
	"a large object": func(v any) {
		room := new([200]struct {
			n uintptr
			v any
		})
		room[150].v = v
		kept.one = room
	},
	"a stack":   func(v any) { go func() { time.Sleep(time.Hour); runtime.KeepAlive(v) }() },
	"a timer":   func(v any) { time.AfterFunc(time.Hour, func() { runtime.KeepAlive(v) }) },
	"a cleanup": func(v any) { runtime.AddCleanup(kept.cleaned, func(v any) { runtime.KeepAlive(v) }, v) },
	"a finalizer": func(v any) {
		finalized := &struct{ v any }{v}
		runtime.SetFinalizer(finalized, func(*struct{ v any }) {})
	},
	"a weak pointer":  func(v any) { held := &v; kept.weak = weak.Make(held); kept.strong = append(kept.strong, held) },
	"another waiter":  func(v any) { c := make(chan int); kept.one = c; go func() { <-c; runtime.KeepAlive(v) }() },
	"a full channel":  func(v any) { c := make(chan any, 1); c <- v; kept.one = c },
	"an endless wait": func(v any) { go func() { var c chan int; <-c; runtime.KeepAlive(v) }() },
}

var kept = struct {
	one     any
	many    map[*int][]any
	weak    weak.Pointer[any]
	strong  []*any
	cleaned *[2]string
}{many: make(map[*int][]any), cleaned: new([2]string)}

// prepareWait starts a waiter, and has its wait held. It does so on another goroutine, on
// whose stack nothing stays.
func prepareWait(t *testing.T, start func(chan<- uint64) any, hold func(any)) uint64 {
	t.Helper()
	ids := make(chan uint64, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		v := start(ids)
		if hold != nil {
			hold(v)
		}
	}()
	testwait.Receive(t, done, "the goroutine has been started")
	return testwait.Receive(t, ids, "the goroutine's id")
}

// waitUnreached returns the wait of a goroutine if nothing reaches it.
func waitUnreached(t *testing.T, id uint64) (wait uint64, found bool) {
	t.Helper()
	all, err := Unreached(testwait.Patience)
	require.NoError(t, err)
	for _, s := range all {
		if s.ID == id && s.Kind == Lost {
			return s.Wait, true
		}
	}
	return 0, false
}

// TestWaitsThatNothingReachesAreFound leaves goroutines behind: there is no way to end
// them.
func TestWaitsThatNothingReachesAreFound(t *testing.T) {
	for name, start := range waiters {
		t.Run(name, func(t *testing.T) {
			var id, wait uint64
			testwait.Eventually(t, func() (found bool) { // another one each time: an old stack may happen to lead to it
				id = prepareWait(t, start, nil)
				waiting(t)
				wait, found = waitUnreached(t, id)
				return found
			}, "the goroutine is found")
			again, found := waitUnreached(t, id)
			require.True(t, found)
			require.Equal(t, wait, again, "it is the same wait")
		})
	}
}

// TestWaitsThatSomethingReachesAreNotFound: each waiter has to be in its wait, which it
// is once the search has found others that began to wait later.
func TestWaitsThatSomethingReachesAreNotFound(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // so that no finalizer runs
	for name, hold := range holders {
		if hold == nil {
			continue
		}
		for kind, start := range waiters {
			t.Run(name+"/"+kind, func(t *testing.T) {
				id := prepareWait(t, start, hold)
				waiting(t)
				for range 3 {
					_, found := waitUnreached(t, id)
					require.False(t, found, "something leads to what it waits for")
				}
			})
		}
	}
}

// TestATickerWakes: the runtime leads to the channel of a ticker.
func TestATickerWakes(t *testing.T) {
	ids, stop := make(chan uint64, 1), make(chan struct{})
	t.Cleanup(func() { close(stop) })
	go func() {
		tick := time.NewTicker(time.Hour)
		defer tick.Stop()
		ids <- ownID()
		select {
		case <-tick.C:
		case <-stop:
		}
	}()
	id := testwait.Receive(t, ids, "the goroutine's id")
	waiting(t)
	_, found := waitUnreached(t, id)
	require.False(t, found)
}

// TestASearchEndsInTime: what is not finished says nothing.
func TestASearchEndsInTime(t *testing.T) {
	_, err := Unreached(-time.Second)
	require.ErrorIs(t, err, errLate)
}

// TestPointersOfObjectsAreKnown: of objects of each size, the pointers are known.
func TestPointersOfObjectsAreKnown(t *testing.T) {
	h, err := openHeap(ownLayout(t))
	require.NoError(t, err)
	for n := 1; n <= 200; n++ {
		pointers, mixed, none := make([]*int, n), make([]any, n), make([]uintptr, n)
		for i := range n {
			pointers[i], mixed[i], none[i] = new(int), new(int), uintptr(i)
		}
		kept.one = []any{pointers, mixed, none}
		require.Equal(t, n, countPointers(h, unsafe.Pointer(&pointers[0])), "%d pointers", n)
		require.Equal(t, n, countPointers(h, unsafe.Pointer(&mixed[0])), "%d interfaces: the first word of each leads out of the heap", n)
		base, k := h.object(uintptr(unsafe.Pointer(&none[0])))
		if n > 1 { // others share a block
			require.Equal(t, uintptr(unsafe.Pointer(&none[0])), base)
		}
		require.False(t, h.spans[k].scan)
	}
}

// countPointers returns how many words of an object are pointers into the heap.
func countPointers(h *heap, at unsafe.Pointer) (n int) {
	base, k := h.object(uintptr(at))
	h.pointers(base, &h.spans[k], func(words []uint64, mask uint64) {
		for i, w := range words {
			if mask>>i&1 != 0 && w != 0 && h.lookUp(uintptr(w)) >= 0 {
				n++
			}
		}
	})
	return n
}
