package pprofdelta

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// Every allocation counts, so that the numbers below are exact.
func TestMain(m *testing.M) {
	runtime.MemProfileRate = 1
	os.Exit(m.Run())
}

const here = "github.com/gomanhole/oneshot/internal/pprofdelta."

var kept [3][]byte

//go:noinline
func allocateBefore() { kept[0] = make([]byte, 1<<20) }

//go:noinline
func allocateMeanwhile() {
	for range 3 {
		kept[1] = inlinedAllocation()
	}
}

func inlinedAllocation() []byte { return make([]byte, 1<<20) }

//go:noinline
func allocateToFree() { kept[2] = make([]byte, 2<<20) }

func TestAllocationsInBetween(t *testing.T) {
	for _, name := range []string{"heap", "allocs"} {
		clear(kept[:])
		allocateBefore()
		allocateToFree()
		before := take(t, name)
		allocateMeanwhile()
		kept[2] = nil
		after := take(t, name)
		file := write(t, before, after)

		space := top(t, file, "-sample_index=alloc_space", "-unit=B")
		requireAbout(t, weight{0, 3 << 20}, space[here+"allocateMeanwhile"])
		requireAbout(t, weight{3 << 20, 3 << 20}, space[here+"inlinedAllocation (inline)"])
		require.NotContains(t, space, here+"allocateBefore")
		require.NotRegexp(t, `runtime\.\S+\n +\S+inlinedAllocation`, pprofTool(t, file, "-traces"))

		inUse := top(t, file, "-sample_index=inuse_space", "-unit=B")
		requireAbout(t, weight{1 << 20, 1 << 20}, inUse[here+"inlinedAllocation (inline)"])
		requireAbout(t, weight{-2 << 20, -2 << 20}, inUse[here+"allocateToFree"])
		require.NotContains(t, inUse, here+"allocateBefore")
		require.Regexp(t, `\n +3 +3145728 +1 +1048576: [\d ]+\n +bytes:\[1048576\]`, pprofTool(t, file, "-raw"))
	}
}

// requireAbout allows a small difference: the runtime itself allocates now and then,
// for example when a collection begins.
func requireAbout(t *testing.T, want, got weight) {
	require.InDelta(t, want.flat, got.flat, 16<<10)
	require.InDelta(t, want.cum, got.cum, 16<<10)
}

// A sample has the same content as the profile that runtime/pprof writes at the same
// time: the types, the estimate of what was not sampled, and the functions, including
// inlined ones.
func TestSameAsRuntimePprof(t *testing.T) {
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	receive(t, "receiveMeanwhile", receiveMeanwhile)
	contend(t)
	runtime.SetBlockProfileRate(0) // so that the profile does not change
	runtime.SetMutexProfileFraction(0)
	allocateMeanwhile()
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, k := range kinds {
		runtime.MemProfileRate = 4096 // both now assume that it was sampled, and scale
		sample, err := Take(k.name)
		require.NoError(t, err)
		var theirs bytes.Buffer
		err = pprof.Lookup(k.name).WriteTo(&theirs, 0)
		runtime.MemProfileRate = 1
		require.NoError(t, err)
		file, want := write(t, &Sample{kind: sample.kind, at: sample.at}, sample), save(t, theirs.Bytes())
		require.Contains(t, rawHeader(pprofTool(t, want, "-raw")), k.values[0].name)
		require.Equal(t, rawHeader(pprofTool(t, want, "-raw")), rawHeader(pprofTool(t, file, "-raw")), k.name)
		for _, v := range k.values {
			args := []string{"-sample_index=" + v.name, "-unit=" + map[string]string{"bytes": "B", "count": "", "nanoseconds": "ns"}[v.unit]}
			expected := ours(top(t, want, args...))
			require.NotEmpty(t, expected, "%s %s", k.name, v.name)
			require.Equal(t, expected, ours(top(t, file, args...)), "%s %s", k.name, v.name)
		}
	}
}

// ours returns the functions of this package. runtime/pprof hides some functions into
// which the runtime is inlined, because it looks up the address after the call. It
// also distinguishes the instances of generic functions, so ours leaves these out.
func ours(all map[string]weight) map[string]weight {
	maps.DeleteFunc(all, func(name string, _ weight) bool { return !strings.HasPrefix(name, here) || strings.Contains(name, "[") })
	return all
}

// rawHeader returns the part of a raw profile that describes its content: the types,
// which of them is shown, and the period. It leaves out the time.
func rawHeader(raw string) string {
	return regexp.MustCompile(`(?s)PeriodType.*?Period: \d+`).FindString(raw) +
		regexp.MustCompile(`Samples:\n.*\n`).FindString(raw)
}

const pause = 50 * time.Millisecond

func TestBlockedInBetween(t *testing.T) {
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	receive(t, "receiveBefore", receiveBefore)
	before := take(t, "block")
	took := receive(t, "receiveMeanwhile", receiveMeanwhile)
	file := write(t, before, take(t, "block"))

	delays := top(t, file, "-sample_index=delay", "-unit=ns")
	requireBetween(t, pause, took, delays[here+"receiveMeanwhile"].cum)
	require.NotContains(t, delays, here+"receiveBefore")
	require.Equal(t, 1., top(t, file, "-sample_index=contentions")[here+"receiveMeanwhile"].cum)
}

func TestMutexHeldInBetween(t *testing.T) {
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	contend(t)
	before := take(t, "mutex")
	began := time.Now()
	contend(t)
	contend(t)
	took := time.Since(began)
	file := write(t, before, take(t, "mutex"))

	require.Equal(t, 2., top(t, file, "-sample_index=contentions")[here+"release"].cum)
	requireBetween(t, 2*pause, took, top(t, file, "-sample_index=delay", "-unit=ns")[here+"release"].cum)
}

// The length of a cycle is not measured to the last digit.
func requireBetween(t *testing.T, least, most time.Duration, ns float64) {
	require.Greater(t, ns, 0.95*float64(least))
	require.Less(t, ns, 1.05*float64(most))
}

//go:noinline
func receiveBefore(c chan int) { <-c }

//go:noinline
func receiveMeanwhile(c chan int) { <-c }

// receive makes a function wait for at least pause. It returns the longest time that
// the function can have waited.
func receive(t *testing.T, name string, f func(chan int)) time.Duration {
	began := time.Now()
	c, done := make(chan int), make(chan struct{})
	go func() { defer close(done); f(c) }()
	awaitGoroutine(t, "[chan receive", name)
	time.Sleep(pause) // what is measured
	c <- 1            // the goroutine waits for it
	testwait.Receive(t, done, "the end of %s", name)
	return time.Since(began)
}

// contend makes a goroutine wait for a lock for at least pause.
func contend(t *testing.T) {
	var mu sync.Mutex
	mu.Lock()
	done := make(chan struct{})
	go func() { defer close(done); acquire(&mu) }()
	awaitGoroutine(t, "[sync.Mutex.Lock", "acquire")
	time.Sleep(pause) // what is measured
	release(&mu)
	testwait.Receive(t, done, "the end of acquire")
}

//go:noinline
func acquire(mu *sync.Mutex) { mu.Lock(); defer mu.Unlock() }

//go:noinline
func release(mu *sync.Mutex) { mu.Unlock() }

// awaitGoroutine waits until a goroutine in that function is in that state.
func awaitGoroutine(t *testing.T, state, function string) {
	text := make([]byte, 1<<20)
	for deadline := time.Now().Add(testwait.Patience); ; runtime.Gosched() {
		all := string(text[:runtime.Stack(text, true)])
		for g := range strings.SplitSeq(all, "\n\n") {
			if strings.Contains(g, state) && strings.Contains(g, here+function+"(") {
				return
			}
		}
		require.True(t, time.Now().Before(deadline), "timeout, waited for: a goroutine %s in %s; there are\n%s", state, function, all)
	}
}

func TestNothingChanged(t *testing.T) {
	for _, k := range kinds {
		s := take(t, k.name)
		raw := pprofTool(t, write(t, s, s), "-raw")
		require.Regexp(t, `Samples:\n.*\nLocations\nMappings\n1: `, raw)
		require.NotContains(t, pprofTool(t, write(t, s, s), "-top"), here)
	}
}

func TestTimeIsOfTheSecondSample(t *testing.T) {
	s := take(t, "heap")
	later := *s
	later.at = s.at.Add(90 * time.Second)
	raw := pprofTool(t, write(t, s, &later), "-raw")
	require.Contains(t, raw, "Duration: 1m30")
	require.Contains(t, raw, "Time: "+later.at.Format("2006-01-02 15:04:05"))
}

// Without /proc the mapping contains every address. pprof accepts that, too.
func TestNoMaps(t *testing.T) {
	before := take(t, "allocs")
	allocateMeanwhile()
	after := take(t, "allocs")
	require.NotZero(t, programMapping().file)
	if runtime.GOOS == "linux" {
		require.NotZero(t, programMapping().limit)
	}
	old := mapsFile
	defer func() { mapsFile = old }()
	for _, text := range []string{"", "\n0-\n-\nx-y r-xp z 0 0\n", "0-1 r-xp 0 0:0 0"} {
		mapsFile = save(t, []byte(text))
		require.Zero(t, programMapping().limit)
	}
	mapsFile = filepath.Join(t.TempDir(), "none")
	require.Zero(t, programMapping().limit)
	requireAbout(t, weight{0, 3 << 20}, top(t, write(t, before, after), "-unit=B")[here+"allocateMeanwhile"])
}

func TestErrors(t *testing.T) {
	require.True(t, Has("mutex"))
	require.False(t, Has("goroutine"))
	_, err := Take("goroutine")
	require.EqualError(t, err, `no profile "goroutine"; there are heap, allocs, block and mutex`)

	heap, block := take(t, "heap"), take(t, "block")
	var w bytes.Buffer
	require.EqualError(t, Write(&w, heap, block), "a heap profile cannot be compared with a block profile")
	later := take(t, "heap")
	later.at = heap.at.Add(time.Second)
	require.EqualError(t, Write(&w, later, heap), "heap profile: the first sample is 1s younger than the second")
	require.Zero(t, w.Len())

	full := errors.New("no space left")
	require.ErrorIs(t, Write(writer(func([]byte) (int, error) { return 0, full }), heap, later), full)
	limited := iotest.TruncateWriter(&w, 20) // drops the rest without an error
	require.NoError(t, Write(limited, heap, later))
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestCycles(t *testing.T) {
	n, err := parseCycles([]byte("--- mutex:\ncycles/second=2399982117\nsampling period=1\n"))
	require.NoError(t, err)
	require.Equal(t, 2399982117., n)
	for _, text := range []string{"", "--- mutex:\n", "--- mutex:\ncycles/second=\n", "--- mutex:\ncycles/second=0\n"} {
		_, err := parseCycles([]byte(text))
		require.ErrorContains(t, err, "the runtime does not tell how long a cycle is")
	}
	var h head
	for range 100 {
		n, err := h.Write([]byte("0123456789"))
		require.NoError(t, err)
		require.Equal(t, 10, n)
	}
	require.Len(t, h, 256)
}

// take takes a sample after a collection. Only then does the profile have the
// allocations.
func take(t *testing.T, name string) *Sample {
	runtime.GC()
	s, err := Take(name)
	require.NoError(t, err)
	return s
}

func write(t *testing.T, before, after *Sample) (file string) {
	var w bytes.Buffer
	require.NoError(t, Write(&w, before, after))
	return save(t, w.Bytes())
}

func save(t *testing.T, data []byte) string {
	file := filepath.Join(t.TempDir(), "profile")
	require.NoError(t, os.WriteFile(file, data, 0o600))
	return file
}

// pprofTool runs go tool pprof, which must not complain.
func pprofTool(t *testing.T, file string, args ...string) string {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is not in PATH; install Go to see whether go tool pprof reads the files")
	}
	// The go command may have to build pprof first.
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append(append([]string{"tool", "pprof"}, args...), file)...)
	cmd.WaitDelay = time.Second // for a pprof that outlives the go command
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, "%v: %s", cmd.Args, complaints.Bytes())
	require.Empty(t, complaints.String())
	return string(out)
}

type weight struct{ flat, cum float64 }

var topLine = regexp.MustCompile(`^ *(-?[\d.]+)\D* +\S+% +\S+% +(-?[\d.]+)\D* +\S+%  (.*)$`)

// top returns all rows of pprof -top, by function.
func top(t *testing.T, file string, args ...string) map[string]weight {
	out := pprofTool(t, file, append(args, "-top", "-nodefraction=0", "-nodecount=1000000")...)
	all := make(map[string]weight)
	for line := range strings.Lines(out) {
		m := topLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		flat, err := strconv.ParseFloat(m[1], 64)
		require.NoError(t, err)
		cum, err := strconv.ParseFloat(m[2], 64)
		require.NoError(t, err)
		all[m[3]] = weight{flat, cum}
	}
	return all
}
