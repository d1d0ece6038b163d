//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"fmt"
	"io"
	"reflect"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func ownLayout(t *testing.T) *layout.Layout {
	l, err := layout.Own()
	require.NoError(t, err)
	return l
}

func TestTheMemoryIsAsTheRuntimeSays(t *testing.T) {
	require.NoError(t, Check())
	allgs, err := check(ownLayout(t))
	require.NoError(t, err)
	require.Equal(t, checked.allgs, allgs)
}

// TestAWrongPlaceIsNoticed: another release may have moved any field. Then the check
// returns an error, and the program goes on.
func TestAWrongPlaceIsNoticed(t *testing.T) {
	for _, field := range []string{
		"G.StackLo", "G.StackHi", "G.SchedSP", "G.SchedPC", "G.AtomicStatus", "G.GoID", "G.WaitReason", "G.ParentGoID", "G.GoPC",
		"G.StartPC", "G.Labels", "Func.PCSP", "Func.Flag", "Func.NPCData", "Func.NFuncData", "Func.Size", "ModuleData.PCTab", "ModuleData.BSS", "ModuleData.GoFunc",
	} {
		for _, by := range []int64{-8, 8} {
			t.Run(fmt.Sprintf("%s%+d", field, by), func(t *testing.T) {
				t.Parallel()
				wrong := *ownLayout(t)
				structure, name, _ := strings.Cut(field, ".")
				f := reflect.ValueOf(&wrong).Elem().FieldByName(structure).FieldByName(name)
				if f.SetInt(f.Int() + by); f.Int() < 0 {
					f.SetInt(24)
				}
				_, err := check(&wrong)
				require.Error(t, err)
			})
		}
	}
}

// waiting starts a goroutine that waits until the end of the test. It returns its
// sample, with the address of its runtime.g.
func waiting(t *testing.T) *sample {
	s := &sample{parent: ownID(), end: make(chan struct{}), started: make(chan struct{})}
	t.Cleanup(func() { close(s.end) })
	ours.Go(func() { s.recurse(1) })
	testwait.Receive(t, s.started, "the goroutine's start")
	testwait.Eventually(t, func() bool { return s.read(ownLayout(t)) && StateText(s.seen.State) == "chan receive" }, "the goroutine waits")
	return s
}

func (s *sample) read(l *layout.Layout) bool {
	newPass(l).read([]uintptr{s.g}, s)
	return s.seen != nil
}

// TestMemoryThatIsGone: a stack may have been given back to the system.
func TestMemoryThatIsGone(t *testing.T) {
	l := ownLayout(t)
	s := waiting(t)
	gone, err := unix.Mmap(-1, 0, 2*unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	lo := uint64(uintptr(unsafe.Pointer(&gone[0])))
	p := newPass(l)
	fake := p.newReading().record
	copyWords(&fake[0], s.g, len(fake))
	fake[l.G.StackLo/8], fake[l.G.StackHi/8] = lo, lo+uint64(len(gone))
	fake[l.G.SchedSP/8] = lo + 64
	list := []uintptr{uintptr(unsafe.Pointer(&fake[0]))}

	s.seen = nil
	p.read(list, s)
	require.Len(t, s.seen.Stack, 1, "there is nothing on this stack")
	require.False(t, s.seen.Whole)

	// Nobody may read there any more. After munmap, another thread might map something there.
	require.NoError(t, unix.Mprotect(gone, unix.PROT_NONE))
	defer func() { require.NoError(t, unix.Munmap(gone)) }()
	for range 3 {
		s.seen = nil
		p.read(list, s)
		require.Equal(t, s.id, s.seen.ID, "what is known without the stack is shown")
		require.Empty(t, s.seen.Stack)
	}
	list[0] = uintptr(lo) // there is not even a runtime.g
	s.seen = nil
	p.read(list, s)
	require.Nil(t, s.seen)
	runtime.KeepAlive(fake)
}

// TestMinutes: the runtime notes the beginning of a wait in a garbage collection.
func TestMinutes(t *testing.T) {
	s := waiting(t)
	require.Zero(t, s.seen.Minutes)
	for range 2 { // the first one of a process notes no time
		runtime.GC()
	}
	p := newPass(ownLayout(t))
	p.now += int64(5*time.Minute + 30*time.Second)
	p.read([]uintptr{s.g}, s)
	require.Equal(t, 5, s.seen.Minutes)
}

// TestMinutesOfALeak: the runtime's own traceback leaves them out. The goroutine stays: there
// is no way to end it.
func TestMinutesOfALeak(t *testing.T) {
	profile := pprof.Lookup("goroutineleak")
	if profile == nil {
		t.Skip("this release cannot prove leaks")
	}
	s := new(sample)
	began := make(chan uintptr)
	go func() {
		began <- getg()
		<-make(chan int)
	}()
	s.g = testwait.Receive(t, began, "the goroutine's start")
	for range 2 { // the first one of a process notes no time
		runtime.GC()
	}
	p := newPass(ownLayout(t))
	p.now += int64(5*time.Minute + 30*time.Second)
	testwait.Eventually(t, func() bool {
		require.NoError(t, profile.WriteTo(io.Discard, 0))
		p.read([]uintptr{s.g}, s)
		return s.seen != nil && s.seen.Leaked
	}, "the collector marks the goroutine")
	require.Equal(t, 5, s.seen.Minutes)
}

// TestManySites: the table keeps all places when it grows.
func TestManySites(t *testing.T) {
	l := ownLayout(t)
	s := newSites(l)
	entry := reflect.ValueOf(fmt.Fprintf).Pointer()
	for pc := entry; pc < entry+10_000; pc++ {
		require.Equal(t, lookUp(l, pc), *s.at(pc))
	}
	for pc := entry; pc < entry+10_000; pc++ {
		require.Equal(t, lookUp(l, pc), *s.at(pc))
	}
}

// TestNeighboursAreSpread: tables of pages and of places in the code have many neighbours. If
// these shared their entries, a search would take several times as long.
func TestNeighboursAreSpread(t *testing.T) {
	const n, room = 1000, 4096
	for _, step := range []uintptr{1, 16, 32, 4096} {
		used := make(map[int]bool)
		for i := range uintptr(n) {
			used[spread(0x1c9a00000+i*step)%room] = true
		}
		require.Greater(t, len(used), n/2, "numbers that differ by %d", step)
	}
}
