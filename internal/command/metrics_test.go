//go:build linux || darwin || freebsd

package command

import (
	"context"
	"math"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/stretchr/testify/require"
)

func TestMetricsSelectsByText(t *testing.T) {
	runtime.GC() // so that there are pauses
	c := startLooking(t)
	out := c.do("metrics /sched")
	require.Regexp(t, `(?m)^/sched/goroutines:goroutines +\d+$`, out)
	require.Regexp(t, `(?m)^/sched/pauses/total/gc:seconds +\d+: p50 <= [\d.]+[nµm]?s, p99 <= [\d.]+[nµm]?s, max <= [\d.]+[nµm]?s$`, out)
	require.NotContains(t, out, "/gc/heap")
	for line := range strings.Lines(out) {
		require.True(t, strings.HasPrefix(line, "/sched/"), line)
	}
	require.Regexp(t, `(?m)^/memory/classes/total:bytes +[\d.]+ [KMG]iB$`, c.do("metrics classes"), "a part will do")
	require.Equal(t, "metrics: no name contains \"nothing\"; metrics without TEXT lists them all\n", c.do("metrics nothing"))
	require.Equal(t, "metrics: one name or part of it at a time, not \"a b\"\n", c.do("metrics a b"))
}

func TestMetricsListsAll(t *testing.T) {
	c := startLooking(t)
	out := c.do("metrics")
	for _, d := range metrics.All() {
		if !strings.HasPrefix(d.Name, "/godebug/") {
			require.Contains(t, out, d.Name+" ")
		}
	}
	require.NotContains(t, out, "unknown")
	require.Regexp(t, `\d+ counters at 0 left out: metrics /godebug\n$`, out)
	require.Regexp(t, `(?m)^/godebug/\S+ +0$`, c.do("metrics /godebug"))
}

func TestMetricsExplainsOne(t *testing.T) {
	runtime.GC()
	c := startLooking(t)
	out := c.do("metrics /gc/heap/allocs:bytes")
	require.Regexp(t, `^/gc/heap/allocs:bytes  [\d.]+ [KMG]iB\nCumulative sum of memory allocated`, out)
	out = c.do("metrics /gc/heap/allocs-by-size")
	require.Regexp(t, `(?s)^/gc/heap/allocs-by-size:bytes  \d+: p50 <= .*\nDistribution of .*\n +\d+ +from \d+ B to \d+ B\n`, out)
	require.LessOrEqual(t, strings.Count(out, " from "), maxBuckets)
}

func TestMetricValuesHaveUnits(t *testing.T) {
	for want, got := range map[string]string{
		"none":     countText(math.MaxInt64, "bytes"),
		"1.00 KiB": countText(1024, "bytes"),
		"off":      countText(math.MaxUint64, "percent"),
		"100":      countText(100, "percent"),
		"1234567":  countText(1234567, "objects"),
		"1.23s":    quantity(1.2345, "seconds"),
		"0s":       quantity(0, "cpu-seconds"),
		"-Inf":     quantity(math.Inf(-1), "seconds"),
		"1e+300":   quantity(1e300, "seconds"),
		"0.5":      quantity(0.5, "things"),
	} {
		require.Equal(t, want, got)
	}
}

func TestSummariesOfHistograms(t *testing.T) {
	h := &metrics.Float64Histogram{Counts: make([]uint64, 3), Buckets: []float64{math.Inf(-1), 1, 2, math.Inf(1)}}
	require.Equal(t, "none yet", spreadText(h, "things"))
	h.Counts = []uint64{98, 1, 1}
	require.Equal(t, "100: p50 <= 1, p99 <= 2, max > 2", spreadText(h, "things"))
	h.Counts = []uint64{0, 1, 0}
	require.Equal(t, "1: p50 <= 2, p99 <= 2, max <= 2", spreadText(h, "things"))

	wide := &metrics.Float64Histogram{Buckets: []float64{0}}
	for i := range maxBuckets + 5 {
		wide.Counts = append(wide.Counts, 1, 0)
		wide.Buckets = append(wide.Buckets, float64(2*i+1), float64(2*i+2))
	}
	var b strings.Builder
	out := &dump.Writer{Ctx: context.Background(), W: &b}
	m := document.Metric{Name: "/wide:bytes"}
	m.Buckets, m.MoreBuckets = bucketsOf(wide)
	writeBuckets(out, &m)
	require.Equal(t, maxBuckets, strings.Count(b.String(), " from "))
	require.True(t, strings.HasSuffix(b.String(), "\n5 buckets more\n"))
}
