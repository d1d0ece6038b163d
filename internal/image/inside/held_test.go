//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// kindOf returns what is said of a goroutine. Each has waited for long enough.
func kindOf(t *testing.T, id uint64) (kind Kind, found bool) {
	t.Helper()
	runtime.GC() // it notes since when goroutines wait
	all, err := unreached(testwait.Patience, 0)
	require.NoError(t, err)
	for _, s := range all {
		if s.ID == id {
			return s.Kind, true
		}
	}
	return 0, false
}

// keep has a variable hold a value, besides what is held already.
func keep(v any) { kept.many[new(int)] = []any{v} }

// TestATimerThatDoesNotRun will not fire, unless somebody resets it.
func TestATimerThatDoesNotRun(t *testing.T) {
	testwait.Eventually(t, func() bool { // see TestWaitsThatOnlyAVariableCanEnd
		id := prepareWait(t, func(ids chan<- uint64) any {
			timer := time.NewTimer(time.Hour)
			timer.Stop()
			go func() { ids <- ownID(); <-timer.C }()
			return timer
		}, keep)
		waiting(t)
		kind, found := kindOf(t, id)
		return found && kind == Held
	}, "it is suspected")
}

// suspicious are the waiters that are suspected if only a variable holds what they wait
// for. Those that wait for a value or a signal may only have no work.
var suspicious = map[string]bool{"chan send": true, "select": true, "sync.WaitGroup.Wait": true, "sync.Mutex.Lock": true, "sync.RWMutex.Lock": true, "sync.RWMutex.RLock": true}

func TestWaitsThatOnlyAVariableCanEnd(t *testing.T) {
	for name, start := range waiters {
		t.Run(name, func(t *testing.T) {
			if !suspicious[name] {
				id := prepareWait(t, start, keep)
				waiting(t)
				kind, _ := kindOf(t, id)
				require.NotEqual(t, Held, kind)
				return
			}
			testwait.Eventually(t, func() bool { // another one each time: an old stack may happen to lead to it
				id := prepareWait(t, start, keep)
				waiting(t)
				kind, found := kindOf(t, id)
				return found && kind == Held
			}, "it is suspected")
		})
	}
}

// TestWaitsThatAreNotSuspected: something else may end them.
func TestWaitsThatAreNotSuspected(t *testing.T) {
	sender := waiters["chan send"]
	for name, start := range map[string]func(ids chan<- uint64) any{
		"a goroutine that can run has it": func(ids chan<- uint64) any {
			v := sender(ids)
			holders["a stack"](v)
			return v
		},
		"an idle worker has it": func(ids chan<- uint64) any {
			v, jobs := sender(ids), make(chan int)
			keep(jobs)
			go func() { <-jobs; runtime.KeepAlive(v) }()
			return v
		},
		"what started it is still there": func(ids chan<- uint64) any {
			end, kept := make(chan int), make(chan int)
			keep(end)
			go func() {
				startSender(ids) // the stack does not lead to what it waits for
				close(kept)
				<-end
			}()
			<-kept // the caller keeps more
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			id := prepareWait(t, start, keep)
			waiting(t)
			for range 3 {
				kind, found := kindOf(t, id)
				require.False(t, found && kind == Held)
			}
		})
	}
}

//go:noinline
func startSender(ids chan<- uint64) { keep(waiters["chan send"](ids)) }

// TestTimersLeadToWhatTheyUse: each P has a heap of timers.
func TestTimersLeadToWhatTheyUse(t *testing.T) {
	object := new([4]*int)
	timer := time.AfterFunc(time.Hour, func() { runtime.KeepAlive(object) })
	defer timer.Stop()
	h, err := openHeap(ownLayout(t))
	require.NoError(t, err)
	s := &search{pass: newPass(ownLayout(t)), heap: h, weak: make(map[uintptr][]uintptr), deadline: time.Now().Add(testwait.Patience)}
	require.True(t, s.findProcs())
	require.Len(t, s.procs, runtime.GOMAXPROCS(0))
	s.timers()
	s.stranded = 1 // there is something to look for
	s.follow()
	base, k := h.object(uintptr(unsafe.Pointer(object)))
	require.False(t, h.spans[k].mark(base), "it is marked")
}
