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

// TestMain also runs the programs of these tests. Their goroutines can never end,
// so each program has a process of its own.
func TestMain(m *testing.M) {
	if program := programs[os.Getenv("STACK_PROGRAM")]; program != nil {
		program()
		return
	}
	os.Exit(m.Run())
}

var programs = map[string]func(){"park": park, "census": census}

// parkings contains a function for each way in which a goroutine can wait.
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
	"semacquire": func() { // only one reader at a time may hold the lock in os.File
		if r := pipe(); r != nil {
			go func() { _, _ = r.Read(make([]byte, 1)) }()
			_, _ = r.Read(make([]byte, 1)) // the second reader waits for the lock
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

// pipe returns the reading end of a pipe to which nothing is written.
func pipe() *os.File {
	r, w, err := os.Pipe()
	if err != nil {
		return nil
	}
	mu.Lock()
	defer mu.Unlock()
	writers = append(writers, w) // otherwise the collector would close it
	return r
}

var (
	mu      sync.Mutex
	writers []*os.File
	sink    int
)

// deep waits n calls further down the stack.
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

// result is the output of the program park.
type result struct{ Profile, Text, Listing *Snapshot }

// park parks several goroutines in each way, and prints their snapshots.
func park() {
	runtime.GOMAXPROCS(4)
	for _, wait := range parkings {
		for range 3 {
			go wait()
		}
	}
	// The goroutines have come to rest when 20 snapshots in a row are equal. Those
	// that spin do not count: they are on another line of their loops each time.
	var r result
	same, last, now := 0, "", ""
	for deadline := time.Now().Add(testwait.Patience); same < 20; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			panic("the goroutines do not come to rest; the last two snapshots:\n" + last + "and\n" + now)
		}
		t, err := TakeListing(64 << 20)
		if err != nil {
			panic(err)
		}
		r.Listing = t.Group(none)
		t.Release()
		if r.Profile, err = Profile(none); err != nil {
			panic(err)
		}
		p := profiler{exclude: none}
		if err := p.text(); err != nil {
			panic(err)
		}
		r.Text = p.snapshot()
		last, now = now, summary(r.Profile)+summary(r.Listing)
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

// spins reports whether the goroutines of a group never wait. These are the
// program's loops, and the goroutine that takes the snapshot.
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

// TestStatesMatchRuntime compares the states that are inferred from the frames of
// a profile with those in the runtime's own traceback.
func TestStatesMatchRuntime(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	traced := make(map[string]Group)
	for _, g := range r.Listing.Groups {
		traced[text(g.Frames)] = g
	}
	seen := make(map[string]bool)
	for _, g := range r.Profile.Groups {
		if len(g.Frames) > 90 || spins(&g) {
			continue // a traceback elides frames of the first kind; the second kind has moved on
		}
		same, ok := traced[text(g.Frames)]
		if !ok {
			t.Errorf("a group of the profile is not in the listing: %d %s\n%s", g.Count, g.State, text(g.Frames))
			continue
		}
		require.Equal(t, same.State, g.State, text(g.Frames))
		require.Equal(t, same.Count, g.Count, text(g.Frames))
		seen[g.State] = true
	}
	for _, s := range []*Snapshot{r.Profile, r.Listing} {
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

// TestRecordsMatchText compares the two ways to read a profile: from the runtime's
// records and from the text. With other releases of Go only the text is read.
func TestRecordsMatchText(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	look := func(s *Snapshot) map[string][]LabelCount {
		groups := make(map[string][]LabelCount)
		for _, g := range s.Groups {
			if !spins(&g) { // those are on different lines each time
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

func TestDeepDifferenceMakesTwoGroups(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	for _, s := range []*Snapshot{r.Profile, r.Listing} {
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
	require.Greater(t, len(deepest.Frames), 100, "a stack that does not fit into the profile must be marked as deeper")
}

func TestListingHasMembers(t *testing.T) {
	r, err := parked()
	require.NoError(t, err)
	require.True(t, r.Listing.HasMembers)
	for _, g := range r.Listing.Groups {
		require.Len(t, g.Members, g.Count)
	}
	g := find(r.Listing, "inlinedToo")[0]
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

	g = find(r.Listing, "pprof.Do")
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

func TestMostFrequentLabelsAreKept(t *testing.T) {
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

func TestFunctionNames(t *testing.T) {
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

func TestGoroutineInListing(t *testing.T) {
	l := &Listing{Text: []byte("goroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\n\ngoroutine 12 [sleep]:\nx.y()\n\t/b.go:2 +0x1\n")}
	require.Equal(t, "goroutine 12 [sleep]:\nx.y()\n\t/b.go:2 +0x1", string(l.Goroutine(12)))
	require.Equal(t, "goroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1", string(l.Goroutine(1)))
	require.Nil(t, l.Goroutine(2))
}

func TestEstimateIsClose(t *testing.T) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	for range 200 {
		wg.Go(func() { <-stop })
	}
	var s *Snapshot
	testwait.Eventually(t, func() bool { // before they wait, they have different frames
		var err error
		s, err = Profile(none)
		return err != nil || slices.ContainsFunc(s.Groups, func(g Group) bool { return g.Count == 200 && g.State == "chan receive" })
	}, "200 goroutines in one group")
	c := s.Estimate(0)
	l, err := TakeListing(64 << 20)
	require.NoError(t, err)
	defer l.Release()
	require.InDelta(t, len(l.Text), c.Bytes, float64(len(l.Text))/2)
	require.Positive(t, c.Stop)
	require.Greater(t, s.Estimate(1<<32).Stop, c.Stop+time.Second, "the runtime walks deep stacks, although it does not print all of their frames")
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte("goroutine profile: total 3\n3 @ 0x47d24e 0x4156f4\n# labels: {\"a\":\"b\"}\n#\t0x1\tx\n\n1 @\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p := profileReader{profiler: &profiler{exclude: none}}
		_, _ = p.Write(text[:len(text)/2])
		_, _ = p.Write(text[len(text)/2:])
	})
}
