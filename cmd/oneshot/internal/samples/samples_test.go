//go:build linux

package samples

import (
	"bytes"
	"io"
	"runtime/pprof"
	"runtime/trace"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

//go:noinline
func burn(until time.Time) (n int) {
	for time.Now().Before(until) {
		n++
	}
	return n
}

// TestTheSamplesOfATraceAreAProfile traces this process while its CPU profiler runs for
// somebody else. Samples that are lost on a busy machine come with the next trace.
func TestTheSamplesOfATraceAreAProfile(t *testing.T) {
	require.NoError(t, pprof.StartCPUProfile(io.Discard))
	defer pprof.StopCPUProfile()
	testwait.Eventually(t, func() bool {
		var recorded, out bytes.Buffer
		require.NoError(t, trace.Start(&recorded))
		burn(time.Now().Add(200 * time.Millisecond))
		trace.Stop()
		n, err := Write(&out, &recorded)
		require.NoError(t, err)
		p, err := profile.ParseData(out.Bytes())
		require.NoError(t, err)
		require.NoError(t, p.CheckValid())
		require.Equal(t, "cpu", p.SampleType[1].Type)
		require.Equal(t, []string{Comment}, p.Comments)
		require.Positive(t, p.DurationNanos)
		total, burning := int64(0), false
		for _, s := range p.Sample {
			total += s.Value[0]
			require.Equal(t, s.Value[0]*int64(period), s.Value[1])
			for _, at := range s.Location {
				burning = burning || strings.HasSuffix(at.Line[0].Function.Name, "samples.burn") && strings.HasSuffix(at.Line[0].Function.Filename, "samples_test.go")
			}
		}
		require.EqualValues(t, n, total)
		return burning
	}, "a sample in the function that uses the CPU")
}

func TestATraceWithoutSamples(t *testing.T) {
	var recorded, out bytes.Buffer
	require.NoError(t, trace.Start(&recorded))
	trace.Stop()
	n, err := Write(&out, &recorded)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestWhatIsNoTrace(t *testing.T) {
	var recorded bytes.Buffer
	require.NoError(t, trace.Start(&recorded))
	trace.Stop()
	whole := recorded.String()
	for _, text := range []string{"", "hello", "go 1.99 trace\x00\x00\x00", whole[:len(whole)/2], whole[:16] + strings.Repeat("\xff", 1000)} {
		_, err := Write(io.Discard, strings.NewReader(text))
		require.ErrorContains(t, err, "the program has sent a trace that cannot be read", "%.20q", text)
	}
}

func FuzzWrite(f *testing.F) {
	var recorded bytes.Buffer
	if err := trace.Start(&recorded); err != nil {
		f.Fatal(err)
	}
	trace.Stop()
	f.Add(recorded.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		if _, err := Write(&out, bytes.NewReader(data)); err != nil {
			return
		}
		if _, err := profile.ParseData(out.Bytes()); err != nil {
			t.Error(err)
		}
	})
}
