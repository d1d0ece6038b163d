package difference

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// Only the allocations below are recorded, and all of them, so that the numbers are
// exact. Only take collects: if another collection began meanwhile, runtime.GC would
// leave the profile as it was.
func TestMain(m *testing.M) {
	runtime.MemProfileRate = 0
	debug.SetGCPercent(-1)
	os.Exit(m.Run())
}

// recorded calls a function whose allocations are recorded.
func recorded(allocate func()) {
	runtime.MemProfileRate = 1
	allocate()
	runtime.MemProfileRate = 0
}

const here = "github.com/gomanhole/oneshot/cmd/oneshot/internal/difference."

var kept [3][]byte

//go:noinline
func allocateBefore() { kept[0] = make([]byte, 1<<20) }

//go:noinline
func allocateMeanwhile() {
	for range 3 {
		kept[1] = make([]byte, 1<<20)
	}
}

//go:noinline
func allocateToFree() { kept[2] = make([]byte, 2<<20) }

// take takes a profile after a collection. Only then does it have the allocations.
func take(t *testing.T, name string) []byte {
	t.Helper()
	runtime.GC()
	var b bytes.Buffer
	require.NoError(t, pprof.Lookup(name).WriteTo(&b, 0))
	return b.Bytes()
}

func subtract(t *testing.T, before, after []byte) *profile.Profile {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Write(&b, before, after))
	p, err := profile.Parse(&b)
	require.NoError(t, err)
	return p
}

// valuesOf returns the sum of a type of value for the stacks with this function. It
// leaves out small objects: the runtime itself allocates some now and then, for example
// when a collection begins.
func valuesOf(t *testing.T, p *profile.Profile, kind, function string) (sum int64) {
	t.Helper()
	at, err := p.SampleIndexByName(kind)
	require.NoError(t, err)
	for _, s := range p.Sample {
		if size := s.NumLabel["bytes"]; len(size) > 0 && size[0] < 1<<20 {
			continue
		}
		has := false
		for _, l := range s.Location {
			for _, line := range l.Line {
				has = has || line.Function.Name == here+function
			}
		}
		if has {
			sum += s.Value[at]
		}
	}
	return sum
}

// mentions reports whether a profile has a function at all, even with zeros.
func mentions(p *profile.Profile, function string) bool {
	for _, f := range p.Function {
		if f.Name == here+function {
			return true
		}
	}
	return false
}

func TestAllocationsDuringTheProfile(t *testing.T) {
	for name, shown := range map[string]string{"heap": "", "allocs": "alloc_space"} {
		clear(kept[:])
		recorded(allocateBefore)
		recorded(allocateToFree)
		before := take(t, name)
		recorded(allocateMeanwhile)
		kept[2] = nil
		after := take(t, name)
		p := subtract(t, before, after)
		require.EqualValues(t, 3, valuesOf(t, p, "alloc_objects", "allocateMeanwhile"), name)
		require.EqualValues(t, 3<<20, valuesOf(t, p, "alloc_space", "allocateMeanwhile"), name)
		require.EqualValues(t, 1<<20, valuesOf(t, p, "inuse_space", "allocateMeanwhile"), name)
		require.EqualValues(t, -2<<20, valuesOf(t, p, "inuse_space", "allocateToFree"), name)
		require.Zero(t, valuesOf(t, p, "alloc_space", "allocateToFree"), name)
		require.False(t, mentions(p, "allocateBefore"), name)
		require.Equal(t, shown, p.DefaultSampleType, "what pprof shows first")
	}
	clear(kept[:])
}

// TestTheHeaderIsThatOfTheProfiles: pprof shows the difference as it shows them.
func TestTheHeaderIsThatOfTheProfiles(t *testing.T) {
	before := take(t, "heap")
	recorded(allocateMeanwhile)
	after := take(t, "heap")
	first, err := profile.ParseData(before)
	require.NoError(t, err)
	second, err := profile.ParseData(after)
	require.NoError(t, err)
	p := subtract(t, before, after)
	require.Equal(t, second.PeriodType, p.PeriodType)
	require.Equal(t, second.Period, p.Period)
	require.Equal(t, second.SampleType, p.SampleType)
	require.Equal(t, second.Mapping[0].File, p.Mapping[0].File)
	require.True(t, p.HasFunctions())
	require.Equal(t, second.TimeNanos, p.TimeNanos)
	require.Equal(t, second.TimeNanos-first.TimeNanos, p.DurationNanos)
	require.Positive(t, p.DurationNanos)
}

func TestWaitingInBetween(t *testing.T) {
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	blocked := make(map[string][]byte)
	contend(t)
	for _, name := range []string{"block", "mutex"} {
		blocked[name] = take(t, name)
	}
	began := time.Now()
	contend(t)
	contend(t)
	took := time.Since(began)
	for name, function := range map[string]string{"block": "acquire", "mutex": "release"} {
		p := subtract(t, blocked[name], take(t, name))
		require.EqualValues(t, 2, valuesOf(t, p, "contentions", function), name)
		delay := time.Duration(valuesOf(t, p, "delay", function))
		require.Greater(t, delay, 2*pause*95/100, name) // the length of a cycle is not known to the last digit
		require.Less(t, delay, took*105/100, name)
	}
}

const pause = 50 * time.Millisecond

// contend makes a goroutine wait for a lock for at least pause.
func contend(t *testing.T) {
	t.Helper()
	var mu sync.Mutex
	mu.Lock()
	done := make(chan struct{})
	go func() { defer close(done); acquire(&mu) }()
	testwait.Eventually(t, func() bool {
		text := make([]byte, 1<<20)
		for g := range strings.SplitSeq(string(text[:runtime.Stack(text, true)]), "\n\n") {
			if strings.Contains(g, "[sync.Mutex.Lock") && strings.Contains(g, here+"acquire(") {
				return true
			}
		}
		return false
	}, "a goroutine waits in acquire")
	time.Sleep(pause) // what is measured
	release(&mu)
	testwait.Receive(t, done, "the end of acquire")
}

//go:noinline
func acquire(mu *sync.Mutex) { mu.Lock(); defer mu.Unlock() }

//go:noinline
func release(mu *sync.Mutex) { mu.Unlock() }

// made returns a profile of the block profile's kind with one sample for each value.
func made(t testing.TB, values map[string]int64) []byte {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "delay", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "contentions", Unit: "count"},
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: here + name}
		l := &profile.Location{ID: f.ID, Address: f.ID, Line: []profile.Line{{Function: f}}}
		p.Function, p.Location = append(p.Function, f), append(p.Location, l)
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{l}, Value: []int64{values[name]}})
	}
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	return b.Bytes()
}

// TestLargeValuesAreExact: floating-point numbers are not.
func TestLargeValuesAreExact(t *testing.T) {
	const large = 1<<60 + 12345
	p := subtract(t, made(t, map[string]int64{"same": large, "more": large}), made(t, map[string]int64{"same": large, "more": large + 1}))
	require.False(t, mentions(p, "same"))
	require.EqualValues(t, 1, valuesOf(t, p, "delay", "more"))
}

func TestNothingChanged(t *testing.T) {
	for _, name := range []string{"heap", "allocs", "block", "mutex"} {
		data := take(t, name)
		p := subtract(t, data, data)
		require.Empty(t, p.Sample, name)
		require.NotEmpty(t, p.SampleType, name)
	}
}

func TestWhatCannotBeSubtracted(t *testing.T) {
	good := take(t, "mutex")
	bomb := func(n int) []byte {
		var b bytes.Buffer
		zip := gzip.NewWriter(&b)
		_, err := zip.Write(make([]byte, n))
		require.NoError(t, err)
		require.NoError(t, zip.Close())
		return b.Bytes()
	}
	for text, data := range map[string][]byte{
		"cannot be read: EOF":                        nil,
		"cannot be read: gzip: invalid header":       []byte("--- mutex:\ncycles/second=1\n"),
		"cannot be read: unexpected EOF":             good[:len(good)-1],
		"cannot be read: it is too large":            bomb(MaxBytes + 1),
		"cannot be read: ":                           bomb(100),
		"the two profiles cannot be subtracted: inc": take(t, "heap"),
	} {
		var b bytes.Buffer
		require.ErrorContains(t, Write(&b, data, good), text)
		require.ErrorContains(t, Write(&b, good, data), text)
		require.Zero(t, b.Len(), "nothing is written")
	}
	full := errors.New("no space left")
	require.ErrorIs(t, Write(writer(func([]byte) (int, error) { return 0, full }), good, good), full)
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// TestPprofReadsIt: go tool pprof does not complain.
func TestPprofReadsIt(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is not in PATH; install Go to see whether go tool pprof reads the difference")
	}
	before := take(t, "heap")
	recorded(allocateMeanwhile)
	file := filepath.Join(t.TempDir(), "profile")
	var b bytes.Buffer
	require.NoError(t, Write(&b, before, take(t, "heap")))
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute) // the go command may have to build pprof first
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "tool", "pprof", "-sample_index=alloc_space", "-unit=kB", "-top", "-nodecount=1000", file)
	cmd.WaitDelay = time.Second // for a pprof that outlives the go command
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, "%s", complaints.Bytes())
	require.Empty(t, complaints.String())
	require.Regexp(t, `\n +3072kB .*`+here+`allocateMeanwhile\n`, string(out))
}

func FuzzDifference(f *testing.F) {
	profile := func(values map[string]int64) []byte {
		zip, err := gzip.NewReader(bytes.NewReader(made(f, values)))
		require.NoError(f, err)
		var text bytes.Buffer
		_, err = text.ReadFrom(zip)
		require.NoError(f, err)
		return text.Bytes()
	}
	f.Add(profile(map[string]int64{"a": 1}), profile(map[string]int64{"a": 2, "b": 3}))
	f.Fuzz(func(t *testing.T, before, after []byte) {
		pack := func(text []byte) []byte {
			var b bytes.Buffer
			zip := gzip.NewWriter(&b)
			_, err := zip.Write(text)
			require.NoError(t, err)
			require.NoError(t, zip.Close())
			return b.Bytes()
		}
		var b bytes.Buffer
		_ = Write(&b, pack(before), pack(after)) // it must not panic
	})
}
