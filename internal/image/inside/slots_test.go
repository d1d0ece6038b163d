//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"fmt"
	"iter"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// idle waits for a channel that only a variable holds.
//
//go:noinline
func idle(c chan int) { <-c }

//go:noinline
func use(...any) {}

// many has more arguments than there are registers for them.
//
//go:noinline
func many(c chan int, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _ int, v, w any) {
	idle(c)
	use(v, w)
}

// inMemory has an argument that is not in registers, and takes its address.
//
//go:noinline
func inMemory(c chan int, w [4]any) {
	p := change(&w)
	idle(c)
	use(p[3])
}

// withResult sets its result before it waits.
//
//go:noinline
func withResult(c chan int, v any) (_, _, _, _, _, _, _, _ uint64, r any) {
	defer idle(c)
	return 0, 0, 0, 0, 0, 0, 0, 0, v
}

type owner struct{ v any }

//go:noinline
func (o owner) wait(c chan int) {
	idle(c)
	use(o.v)
}

// onStacks are functions that wait, and use a value afterwards. Each has it in another part
// of its frame.
var onStacks = map[string]func(c chan int, v any){
	"in a local variable": func(c chan int, v any) {
		w := [2]any{nil, v}
		idle(c)
		use(w)
	},
	"in its argument":          func(c chan int, v any) { idle(c); use(v) },
	"in an argument in memory": func(c chan int, v any) { many(c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, nil, v) },
	"in a result":              func(c chan int, v any) { _, _, _, _, _, _, _, _, r := withResult(c, v); use(r) },
	"behind a pointer": func(c chan int, v any) {
		w := [4]any{2: v}
		p := change(&w)
		idle(c)
		use(p[2])
	},
	"in an argument that a pointer leads to": func(c chan int, v any) { inMemory(c, [4]any{3: v}) },
	"in a deferred call":                     func(c chan int, v any) { defer use(v); idle(c) },
	"in one of many defers": func(c chan int, v any) {
		for range 3 {
			defer use(v)
		}
		idle(c)
	},
	"while deferred calls run": func(c chan int, v any) { defer use(v); defer idle(c) },
	"while it panics":          func(c chan int, v any) { defer func() { _ = recover(); use(v) }(); defer idle(c); panic(1) },
	"while a fault is handled": func(c chan int, v any) {
		defer func() { _ = recover(); use(v) }()
		defer idle(c)
		use(*noNumber())
	},
	"while a panic is replaced": func(c chan int, v any) {
		defer func() { _ = recover(); use(v) }()
		defer func() { defer idle(c); panic(2) }()
		panic(1)
	},
	"in a select": func(c chan int, v any) {
		select {
		case <-c:
		case <-make(chan int):
		}
		use(v)
	},
	"in a method that reflect calls": func(c chan int, v any) {
		reflect.ValueOf(owner{v}).MethodByName("Wait").Call([]reflect.Value{reflect.ValueOf(c)})
	},
	"in a method value that reflect makes": func(c chan int, v any) {
		reflect.ValueOf(owner{v}).MethodByName("Wait").Interface().(func(chan int))(c)
	},
	"while its goroutine ends": func(c chan int, v any) { defer use(v); defer idle(c); runtime.Goexit() },
	"in a call that is deferred in some cases": func(c chan int, v any) {
		if v != nil {
			defer use(v)
		}
		idle(c)
	},
	"in a function that reflect makes": func(c chan int, v any) { made(v)(c, v) },
	"in a loop over a function": func(c chan int, v any) {
		for x := range values(v) {
			idle(c)
			use(x)
		}
	},
	"in a pulled sequence": func(c chan int, v any) {
		next, stop := iter.Pull(values(v))
		defer stop()
		next()
		idle(c)
		next()
	},
}

// Wait is exported, so that reflect finds it.
func (o owner) Wait(c chan int) { o.wait(c) }

func values(v any) iter.Seq[any] {
	return func(yield func(any) bool) { _ = yield(nil) && yield(v) }
}

//go:noinline
func change(p *[4]any) *[4]any { p[1] = 1; return p }

//go:noinline
func noNumber() *int { return nil }

func made(v any) func(chan int, any) {
	return reflect.MakeFunc(reflect.TypeFor[func(chan int, any)](), func(args []reflect.Value) []reflect.Value {
		idle(args[0].Interface().(chan int))
		use(args[1])
		return nil
	}).Interface().(func(chan int, any))
}

// prepareHeld starts a waiter, and another goroutine that holds on its stack what that one
// waits for, while it waits for something that only a variable holds.
func prepareHeld(t *testing.T, wait func(c chan int, v any)) (id uint64) {
	t.Helper()
	holder := &sample{}
	id = prepareWait(t, waiters["chan send"], func(v any) {
		c, begun := make(chan int), make(chan struct{})
		keep(c)
		go func() { holder.g = getg(); close(begun); wait(c, v) }()
		<-begun
	})
	waiting(t)
	testwait.Eventually(t, func() bool {
		return holder.read(ownLayout(t)) && slices.Contains([]string{"chan receive", "select"}, StateText(holder.seen.State))
	}, "the holder waits")
	return id
}

// TestWhatIsUsedAfterAWaitCounts: a goroutine can end the wait of another one if it uses
// what that one waits for, wherever on its stack it has it.
func TestWhatIsUsedAfterAWaitCounts(t *testing.T) {
	for name, wait := range onStacks {
		t.Run(name, func(t *testing.T) {
			id := prepareHeld(t, wait)
			for range 3 {
				_, found := waitUnreached(t, id)
				require.False(t, found)
			}
		})
	}
}

// TestWhatIsNotUsedAfterAWaitDoesNotCount: the word that leads to it is still on the stack.
func TestWhatIsNotUsedAfterAWaitDoesNotCount(t *testing.T) {
	for name, wait := range map[string]func(c chan int, v any){
		"it is used before":      func(c chan int, v any) { touch(nil); touch(v); idle(c) },
		"it is used between two": func(c chan int, v any) { closed := make(chan int); close(closed); idle(closed); touch(v); idle(c) },
		"it is an argument":      func(c chan int, v any) { manyIdle(c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, nil, v) },
	} {
		t.Run(name, func(t *testing.T) {
			testwait.Eventually(t, func() bool { // another one each time: an old stack may happen to lead to it
				_, found := waitUnreached(t, prepareHeld(t, wait))
				return found
			}, "the goroutine is found")
		})
	}
}

//go:noinline
func touch(any) {}

// TestStackMaps: a table has a number of maps with as many bits each.
func TestStackMaps(t *testing.T) {
	table := &[2]uint64{9<<32 | 2, 1<<24 | 2<<16 | 1<<8 | 3}
	at := uintptr(unsafe.Pointer(table))
	words, n, ok := stackMap(at, 0)
	require.True(t, ok)
	require.Equal(t, []int{0, 1, 8}, words)
	require.Equal(t, 9, n)
	words, _, ok = stackMap(at, 1)
	require.True(t, ok)
	require.Equal(t, []int{1, 8}, words)
	for _, index := range []int32{-1, 2} {
		_, _, ok = stackMap(at, index)
		require.False(t, ok)
	}
	_, _, ok = stackMap(0, 0)
	require.False(t, ok)
	runtime.KeepAlive(table)
}

// TestSlotsAreKnownAtCalls: before the first call of a function, the tables do not say which
// words count.
func TestSlotsAreKnownAtCalls(t *testing.T) {
	p := newPass(ownLayout(t))
	entry := reflect.ValueOf(fmt.Fprintf).Pointer()
	require.False(t, p.slotsAt(entry).known)
	require.False(t, p.slotsAt(entry+4).known)
	known := 0
	for pc := entry; findfunc(pc) == findfunc(entry); pc++ {
		if f := p.slotsAt(pc); f.known {
			known++
		}
	}
	require.NotZero(t, known)
}

// manyIdle is as many, but uses nothing after the wait.
//
//go:noinline
func manyIdle(c chan int, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _ int, v, w any) {
	touch(v)
	touch(w)
	idle(c)
}
