//go:build unix

package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestMain is also a program whose goroutines can be left where they are.
func TestMain(m *testing.M) {
	switch os.Getenv("STACK_PROGRAM") {
	case "park":
		park()
	case "census":
		census()
	default:
		os.Exit(m.Run())
	}
}

// parkings are all the ways to wait that a program has.
var parkings = map[string]func(){
	"chan receive": func() { <-make(chan int) },
	"chan receive, range": func() {
		for range make(chan int) {
		}
	},
	"chan send":               func() { make(chan int) <- 1 },
	"chan receive (nil chan)": func() { var c chan int; <-c },
	"chan send (nil chan)":    func() { var c chan int; c <- 1 },
	"select": func() {
		select {
		case <-make(chan int):
		case <-make(chan string):
		}
	},
	"select (no cases)": func() { select {} },
	"sync.Mutex.Lock":   func() { var mu sync.Mutex; mu.Lock(); mu.Lock() },
	"sync.RWMutex.RLock": func() {
		var mu sync.RWMutex
		mu.Lock()
		mu.RLock()
	},
	"sync.RWMutex.Lock":   func() { var mu sync.RWMutex; mu.RLock(); mu.Lock() },
	"writers of RWMutex":  func() { var mu sync.RWMutex; mu.Lock(); mu.Lock() },
	"sync.WaitGroup.Wait": func() { var wg sync.WaitGroup; wg.Add(1); wg.Wait() },
	"sync.Cond.Wait": func() {
		c := sync.NewCond(new(sync.Mutex))
		c.L.Lock()
		c.Wait()
	},
	"sync.Once": func() {
		var once sync.Once
		begun := make(chan struct{})
		go once.Do(func() { close(begun); select {} })
		<-begun
		once.Do(func() {})
	},
	"sleep": func() { time.Sleep(time.Hour) },
	"IO wait": func() {
		if r := pipe(); r != nil {
			_, _ = r.Read(make([]byte, 1))
		}
	},
	"semacquire": func() { // of the lock in os.File that only one reader may hold
		if r := pipe(); r != nil {
			go func() { _, _ = r.Read(make([]byte, 1)) }()
			_, _ = r.Read(make([]byte, 1)) // whichever comes second waits for the lock
		}
	},
	"syscall": func() {
		var fds [2]int
		if syscall.Pipe(fds[:]) == nil {
			_, _ = syscall.Read(fds[0], make([]byte, 1))
		}
	},
	"signals": func() {
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGHUP)
		<-c
	},
	"coroutine": func() {
		next, _ := iter.Pull(func(yield func(int) bool) { yield(1); yield(2) })
		next()
		select {}
	},
	"labels": func() {
		pprof.Do(context.Background(), pprof.Labels("tenant", "acme"), func(context.Context) { select {} })
	},
	"deep":    func() { deep(60) },
	"deeper":  func() { otherRoot() },
	"deepest": func() { deep(300) },
	"method":  func() { (&service[int]{}).wait() },
	"inlined": func() { inlined() },
	"spin":    func() { spin() },
	"panic": func() {
		defer func() { select {} }()
		panic("on the way")
	},
	"locked to its thread": func() { runtime.LockOSThread(); select {} },
}

// pipe is the end of a pipe that nobody writes to.
func pipe() *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	mu.Lock()
	defer mu.Unlock()
	writers = append(writers, w) // the collector would close it
	return r
}

var (
	mu      sync.Mutex
	writers []*os.File
	sink    int
)

// deep waits n calls further down.
//
//go:noinline
func deep(n int) {
	if n > 0 {
		deep(n - 1)
		sink = n
		return
	}
	select {}
}

//go:noinline
func spin() {
	for i := 0; ; i++ {
	}
}

//go:noinline
func otherRoot() { deep(60); sink++ }

type service[T any] struct{ _ T }

//go:noinline
func (s *service[T]) wait() { func() { select {} }(); sink++ }

func inlined() { inlinedToo() }

func inlinedToo() { select {} }

// result is what the program says of itself.
type result struct{ Profile, Text, Trace *Snapshot }

// park parks goroutines in every way, several of each, and prints how they look.
func park() {
	runtime.GOMAXPROCS(4)
	for _, wait := range parkings {
		for range 3 {
			go wait()
		}
	}
	// They are where they will be when several looks in a row agree. Those that
	// spin are seen on different lines of their loops, and do not count.
	var r result
	same, last, now := 0, "", ""
	for deadline := time.Now().Add(testwait.Patience); same < 20; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic("the goroutines do not come to rest; the last two looks:\n" + last + "and\n" + now)
		}
		t, err := TakeTrace(64 << 20)
		if err != nil {
			panic(err)
		}
		r.Trace = t.Group(none)
		t.Release()
		if r.Profile, err = Profile(none); err != nil {
			panic(err)
		}
		p := profiler{own: none}
		if err := p.text(); err != nil {
			panic(err)
		}
		r.Text = p.snapshot()
		last, now = now, summary(r.Profile)+summary(r.Trace)
		if now == last {
			same++
		} else {
			same = 0
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		panic(err)
	}
}

func summary(s *Snapshot) string {
	var b strings.Builder
	for _, g := range s.Groups {
		if !spins(&g) {
			fmt.Fprintln(&b, g.Count, g.State, len(g.Frames))
		}
	}
	return b.String()
}

// spins reports whether the goroutines never wait: the program's loop, and the
// goroutine that looks.
func spins(g *Group) bool { return g.State == "runnable" || g.State == "running" }

var parked = sync.OnceValues(func() (r result, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*testwait.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), "STACK_PROGRAM=park")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	return r, err
})

func text(frames []Frame) string {
	var b strings.Builder
	for _, f := range frames {
		fmt.Fprintf(&b, "%s %s:%d\n", f.Function, f.File, f.Line)
	}
	return b.String()
}

// TestStatesAreTheRuntimes has the runtime's own traceback as its oracle.
func TestStatesAreTheRuntimes(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	traced := make(map[string]Group)
	for _, g := range r.Trace.Groups {
		traced[text(g.Frames)] = g
	}
	seen := make(map[string]bool)
	for _, g := range r.Profile.Groups {
		if len(g.Frames) > 90 || spins(&g) {
			continue // elided in a traceback; or in another place by then
		}
		same, ok := traced[text(g.Frames)]
		if !ok {
			t.Errorf("a group of the profile is not in the trace: %d %s\n%s", g.Count, g.State, text(g.Frames))
			continue
		}
		require.Equal(t, same.State, g.State, text(g.Frames))
		require.Equal(t, same.Count, g.Count, text(g.Frames))
		seen[g.State] = true
	}
	for _, s := range []*Snapshot{r.Profile, r.Trace} {
		spinning := 0
		for _, g := range find(s, "stack.spin ") {
			require.True(t, spins(&g), g.State)
			spinning += g.Count
		}
		require.Equal(t, 3, spinning)
	}
	for _, state := range []string{
		"chan receive", "chan send", "chan receive (nil chan)", "chan send (nil chan)", "select", "select (no cases)",
		"sync.Mutex.Lock", "sync.RWMutex.RLock", "sync.RWMutex.Lock", "sync.WaitGroup.Wait", "sync.Cond.Wait",
		"sleep", "IO wait", "semacquire", "syscall", "coroutine",
	} {
		require.True(t, seen[state], "no goroutine was in %s", state)
	}
}

// TestRecordsAreTheTexts: both ways to read a profile, of which other releases
// of Go have one only.
func TestRecordsAreTheTexts(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	look := func(s *Snapshot) map[string][]LabelCount {
		groups := make(map[string][]LabelCount)
		for _, g := range s.Groups {
			if !spins(&g) { // at the same line both times
				groups[fmt.Sprint(g.Count, g.State, g.Deeper, text(g.Frames))] = g.Labels
			}
		}
		return groups
	}
	require.Equal(t, look(r.Text), look(r.Profile))
}

func find(s *Snapshot, function string) []Group {
	return slices.DeleteFunc(slices.Clone(s.Groups), func(g Group) bool {
		return !strings.Contains(text(g.Frames), function)
	})
}

func TestStacksThatDifferFarDownAreTwoGroups(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	for _, s := range []*Snapshot{r.Profile, r.Trace} {
		other := find(s, "otherRoot")
		require.Len(t, other, 1)
		require.Equal(t, 3, other[0].Count)
		require.False(t, other[0].Deeper)
		require.Greater(t, len(other[0].Frames), 60)
	}
	var deepest Group
	for _, g := range r.Profile.Groups {
		if g.Deeper {
			deepest = g
		}
	}
	require.Greater(t, len(deepest.Frames), 100, "a stack that the profile does not hold whole says so")
}

func TestTraceKnowsEachGoroutine(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	require.True(t, r.Trace.Traced)
	for _, g := range r.Trace.Groups {
		require.Len(t, g.Members, g.Count)
	}
	g := find(r.Trace, "inlinedToo")[0]
	require.Contains(t, g.Creator.Function, "stack.park")
	require.NotZero(t, g.Members[0].ID)
	require.EqualValues(t, 1, g.Members[0].Parent)
}

func TestLabelsAreCounted(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	g := find(r.Profile, "pprof.Do")
	require.Len(t, g, 1)
	require.Equal(t, []LabelCount{{`{"tenant":"acme"}`, 3}}, g[0].Labels)

	g = find(r.Trace, "pprof.Do")
	require.Len(t, g, 1)
	require.Empty(t, g[0].Labels)
	labeled, err := Labeled(none)
	require.NoError(t, err)
	require.Empty(t, labeled.Groups)
	pprof.Do(context.Background(), pprof.Labels("a", "b"), func(context.Context) {
		labeled, err = Labeled(none)
	})
	require.NoError(t, err)
	require.Equal(t, 1, labeled.Total)
	require.Equal(t, []LabelCount{{`{"a":"b"}`, 1}}, labeled.Groups[0].Labels)
}

func TestTheMostFrequentLabelsAreKept(t *testing.T) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wait := func() { <-stop }
	for i := range 300 {
		pprof.Do(context.Background(), pprof.Labels("request", fmt.Sprint(i)), func(context.Context) { wg.Go(wait) })
	}
	pprof.Do(context.Background(), pprof.Labels("handler", "export"), func(context.Context) {
		for range 50 {
			wg.Go(wait)
		}
	})
	testwait.Eventually(t, func() bool {
		s, err := Labeled(none)
		return err == nil && len(s.Groups) == 1 && len(s.Groups[0].Labels) == maxLabels && s.Groups[0].OtherLabels == 201 &&
			s.Groups[0].Labels[0] == LabelCount{`{"handler":"export"}`, 50}
	}, "the labels of 350 goroutines that wait")
}

func TestNamesOfFunctions(t *testing.T) {
	for _, c := range []struct{ function, pkg, receiver string }{
		{"main.main", "main", ""},
		{"main.main.func1.2", "main", ""},
		{"main.(*Cache).Get", "main", "main.Cache"},
		{"main.Cache.Get", "main", "main.Cache"},
		{"main.(*Cache).Get.func1", "main", "main.Cache"},
		{"main.start.gowrap1", "main", ""},
		{"example.com/a.b/c.(*T[...]).Do", "example.com/a.b/c", "example.com/a.b/c.T[...]"},
		{"example.com/c.Map[...]", "example.com/c", ""},
		{"gopkg.in/yaml%2ev3.Unmarshal", "gopkg.in/yaml%2ev3", ""},
	} {
		f := Frame{Function: c.function}
		require.Equal(t, c.pkg, f.Package(), c.function)
		require.Equal(t, c.receiver, f.Receiver(), c.function)
	}
}

func TestOneGoroutineOfATrace(t *testing.T) {
	tr := &Trace{Text: []byte("goroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\n\ngoroutine 12 [sleep]:\nx.y()\n\t/b.go:2 +0x1\n")}
	require.Equal(t, "goroutine 12 [sleep]:\nx.y()\n\t/b.go:2 +0x1", string(tr.Goroutine(12)))
	require.Equal(t, "goroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1", string(tr.Goroutine(1)))
	require.Nil(t, tr.Goroutine(2))
}

func TestEstimateIsOfTheRightSize(t *testing.T) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	for range 200 {
		wg.Go(func() { <-stop })
	}
	var s *Snapshot
	testwait.Eventually(t, func() bool { // until they wait, each has other frames than later
		var err error
		s, err = Profile(none)
		return err != nil || slices.ContainsFunc(s.Groups, func(g Group) bool { return g.Count == 200 && g.State == "chan receive" })
	}, "200 goroutines in one group")
	c := s.Estimate(0)
	tr, err := TakeTrace(64 << 20)
	require.NoError(t, err)
	defer tr.Release()
	require.InDelta(t, len(tr.Text), c.Bytes, float64(len(tr.Text))/2)
	require.Positive(t, c.Stop)
	require.Greater(t, s.Estimate(1<<32).Stop, c.Stop+time.Second, "deep stacks are walked, if not shown")
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte("goroutine profile: total 3\n3 @ 0x47d24e 0x4156f4\n# labels: {\"a\":\"b\"}\n#\t0x1\tx\n\n1 @\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p := profileReader{profiler: &profiler{own: none}}
		_, _ = p.Write(text[:len(text)/2])
		_, _ = p.Write(text[len(text)/2:])
	})
}
