package findings

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// readyAtEachLook returns three looks at a program in which one goroutine is ready to run
// at each, and others wait. turns is Goroutine.Turns of that one.
func readyAtEachLook(turns ...uint16) *Evidence {
	e := &Evidence{Final: true, After: vitals.Sample{Limit: vitals.NoLimit}}
	for _, n := range turns {
		look := listing(append(waitingWorkers("sync.Cond.Wait", make([]int, 5)...),
			goroutine(50, "runnable", "example.com/store.(*marks).process", "example.com/store.Open.func1"))...)
		for i := range look.Groups {
			for k := range look.Groups[i].Members {
				if m := &look.Groups[i].Members[k]; m.ID == 50 {
					m.Turns = n
				}
			}
		}
		e.Looks = append(e.Looks, look)
	}
	const all = 150 * time.Millisecond
	now := time.Now()
	e.Before.Usage.At, e.After.Usage.At, e.After.Usage.User = now.Add(-all), now, all*9/10
	e.After.Procs = 2
	return e
}

// TestAWokenGoroutineIsNoLoop: on a busy machine, a goroutine that was woken may be ready
// at each look.
func TestAWokenGoroutineIsNoLoop(t *testing.T) {
	preempted, woken := stack.Turns(7, layout.Preempted), stack.Turns(8, layout.Waited)
	loop := readyAtEachLook(preempted, preempted+5, preempted+9)
	found := Find(loop)
	require.Len(t, found, 1)
	require.False(t, loop.TooEarly(found), "the CPU was taken from it at each look")
	writer := readyAtEachLook(preempted, stack.Turns(8, layout.Yielded), preempted+9)
	require.True(t, writer.TooEarly(Find(writer)), "it lets others run")
	require.Len(t, Find(readyAtEachLook(0, 0, 0)), 1, "it is not known")
	require.Empty(t, Find(readyAtEachLook(woken, woken+10, woken+20)))
	require.Empty(t, Find(readyAtEachLook(preempted, woken, preempted+3)))
	require.Empty(t, Find(readyAtEachLook(woken, preempted, preempted+3)))
	require.Empty(t, Find(readyAtEachLook(preempted, preempted, preempted)), "it has not run")
}

// TestLoopsThatWaitForACPU: with more loops than CPUs, most have not run between two looks
// that follow each other soon. They do not speak for those that have.
func TestLoopsThatWaitForACPU(t *testing.T) {
	e := readyAtEachLook(0, 0, 0)
	for n := range e.Looks {
		var texts []string
		for id := range 16 {
			texts = append(texts, goroutine(50+id, "runnable", "main.compute", "main.serve"))
		}
		e.Looks[n] = listing(texts...)
		for i := range e.Looks[n].Groups {
			for k := range e.Looks[n].Groups[i].Members {
				m := &e.Looks[n].Groups[i].Members[k]
				m.Turns = stack.Turns(7, layout.Preempted)
				if m.ID < 50+3 {
					m.Turns = stack.Turns(uint8(7+n), layout.Preempted)
				}
			}
		}
	}
	found := Find(e)
	require.Len(t, found, 1)
	require.Contains(t, found[0].Title, "3 goroutines are on CPU at every look")
	require.True(t, e.TooEarly(found), "so many want a CPU that they may be ready by chance")
}

// TestALoopThatYields is found, unless so many want a CPU that all who yield are then
// ready for long.
func TestALoopThatYields(t *testing.T) {
	for _, test := range []struct {
		name   string
		others int
		stop   layout.Stop // of the others
		ran    uint8       // how often each of them has run between two looks
		found  int
	}{
		{"nobody else wants a CPU", 0, layout.Waited, 1, 1},
		{"the others have a CPU too", 2, layout.Waited, 1, 1},
		{"more than there are CPUs want one", 3, layout.Waited, 1, 0},
		{"more than there are CPUs make system calls", 3, layout.Called, 1, 0},
		{"all let others run", 3, layout.Yielded, 1, 1},
		{"one that wants a CPU gets none", 1, layout.Preempted, 0, 0},
	} {
		e := readyAtEachLook(0, 0, 0)
		e.After.Procs = 2
		for i := range e.Looks {
			e.Looks[i] = listing(append(many(test.others, 60, "runnable", fmt.Sprint("main.work", i)), goroutine(50, "runnable", "main.(*marks).process", "main.open.func1"))...)
			for _, g := range e.Looks[i].Groups {
				for k := range g.Members {
					if m := &g.Members[k]; m.ID == 50 {
						m.Turns = stack.Turns(uint8(i), layout.Yielded)
					} else {
						m.Turns = stack.Turns(uint8(i)*test.ran, test.stop)
					}
				}
			}
		}
		found := Find(e)
		require.Len(t, found, test.found, test.name)
		require.Equal(t, test.found > 0, e.TooEarly(found), "%s: one that yields is ready by chance", test.name)
	}
}

// TestALoopThatAllocates starts collections, and works for the collector.
func TestALoopThatAllocates(t *testing.T) {
	for _, test := range []struct {
		state, first string
		found        int
	}{
		{"GC assist marking", "fmt.Sprint", 1},
		{"GC assist wait", "fmt.Sprint", 1},
		{"stopping the world", "fmt.Sprint", 1},
		{"preempted", "fmt.Sprint", 1},
		{"semacquire", "fmt.Sprint", 1}, // the runtime's own
		{"semacquire", "sync.(*WaitGroup).Wait", 0},
		{"semacquire", "internal/poll.(*fdMutex).rwlock", 0},
		{"chan receive", "fmt.Sprint", 0},
	} {
		e := readyAtEachLook(0, 0, 0)
		for i, state := range []string{"running", test.state, "runnable"} {
			first := "fmt.Sprint"
			if state == test.state {
				first = test.first
			}
			e.Looks[i] = listing(goroutine(50, state, first, "main.(*marks).describe"), goroutine(51, "chan receive", "main.work"))
		}
		require.Len(t, Find(e), test.found, "%v", test)
	}
}

// TestAWokenGoroutineIsKnownByItsStack where nothing else shows it.
func TestAWokenGoroutineIsKnownByItsStack(t *testing.T) {
	for function, n := range map[string]int{"sync.(*Cond).Wait": 0, "sync.(*WaitGroup).Wait": 0, "main.(*marks).next": 1} {
		e := readyAtEachLook(0, 0, 0)
		for i := range e.Looks {
			e.Looks[i] = listing(goroutine(50, "runnable", function, "main.process"), goroutine(51, "chan receive", "main.work"))
		}
		require.Len(t, Find(e), n, function)
	}
}

// TestAQueueWhereManyWantACPU: whoever holds the lock may only have had no CPU, so more looks
// are needed before it is named.
func TestAQueueWhereManyWantACPU(t *testing.T) {
	for ready, early := range map[int]bool{2: false, 3: true} {
		e := readyAtEachLook(0, 0, 0)
		for i := range e.Looks {
			e.Looks[i] = listing(append(many(ready, 60, "runnable", fmt.Sprint("main.work", i)),
				many(9, 20, "sync.Mutex.Lock", "sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "main.store")...)...)
		}
		found := Find(e)
		require.Len(t, found, 1)
		require.Contains(t, found[0].Title, "9 goroutines queue for locks")
		require.Equal(t, early, e.TooEarly(found), "%d are ready", ready)
	}
}
