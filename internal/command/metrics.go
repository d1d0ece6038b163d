package command

import (
	"context"
	"fmt"
	"math"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

var metricsCommand = &Command{
	Name: "metrics", Args: "[PREFIX]", Summary: "show the runtime's metrics, or explain one",
	Help: "Shows the values of package runtime/metrics whose names contain PREFIX: metrics /sched, metrics pauses. If only\n" +
		"one name matches, it shows the description too. Of a distribution it shows p50 and p99: 50 and 99 of 100 values\n" +
		"since the start of the program were not larger. The program is not stopped.",
	Run: runMetrics,
}

// maxBuckets limits the rows of a histogram that are shown.
const maxBuckets = 64

func runMetrics(ctx context.Context, s Session, args []string) error {
	part := ""
	switch len(args) {
	case 0:
	case 1:
		part = args[0]
	default:
		return fmt.Errorf("metrics: one name or part of it at a time, not %q", plaintext.Clip(strings.Join(args, " "), 80))
	}
	chosen := chooseMetrics(metrics.All(), part)
	if len(chosen) == 0 {
		return fmt.Errorf("metrics: no name has %q in it; metrics alone lists them all", plaintext.Clip(part, 80))
	}
	samples := make([]metrics.Sample, len(chosen))
	width := 0
	for i, d := range chosen {
		samples[i].Name = d.Name
		width = max(width, len(d.Name))
	}
	metrics.Read(samples)

	t := &dump.Writer{Ctx: ctx, W: s}
	quiet := 0
	for _, sample := range samples {
		if t.Ended() {
			return t.Err
		}
		if part == "" && strings.HasPrefix(sample.Name, "/godebug/") && sample.Value.Uint64() == 0 {
			quiet++
			continue
		}
		t.Printf("%-*s  %s\n", width, sample.Name, valueText(sample))
	}
	if quiet > 0 {
		t.Printf("%s at 0 left out: metrics /godebug\n", plaintext.Plural(quiet, "counter"))
	}
	if len(chosen) == 1 {
		t.Printf("%s\n", chosen[0].Description)
		if samples[0].Value.Kind() == metrics.KindFloat64Histogram {
			writeBuckets(t, samples[0].Value.Float64Histogram(), unitOf(samples[0].Name))
		}
	}
	return t.Err
}

// chooseMetrics returns the metrics that have part in their name. A full name with
// its unit selects one metric only, since no such name is part of another.
func chooseMetrics(all []metrics.Description, part string) (chosen []metrics.Description) {
	for _, d := range all {
		if strings.Contains(d.Name, part) && d.Kind != metrics.KindBad {
			chosen = append(chosen, d)
		}
	}
	return chosen
}

// unitOf returns the unit of a metric. It comes after the colon of the name, as in
// /gc/heap/allocs:bytes.
func unitOf(name string) string { return name[strings.LastIndexByte(name, ':')+1:] }

// valueText returns the value of a metric for people.
func valueText(sample metrics.Sample) string {
	unit := unitOf(sample.Name)
	switch sample.Value.Kind() {
	case metrics.KindUint64:
		return countText(sample.Value.Uint64(), unit)
	case metrics.KindFloat64:
		return quantity(sample.Value.Float64(), unit)
	case metrics.KindFloat64Histogram:
		return spreadText(sample.Value.Float64Histogram(), unit)
	}
	return "of a kind that is not known here"
}

// countText returns an integer in a unit for people.
func countText(n uint64, unit string) string {
	switch {
	case unit == "bytes" && n >= vitals.NoLimit:
		return "none" // it is a limit
	case unit == "bytes":
		return vitals.Bytes(n)
	case unit == "percent" && n > math.MaxInt32: // the runtime's value for GOGC=off
		return "off"
	}
	return strconv.FormatUint(n, 10)
}

// quantity returns a number in a unit for people.
func quantity(v float64, unit string) string {
	switch {
	case math.IsInf(v, 0) || math.IsNaN(v):
		return strconv.FormatFloat(v, 'g', -1, 64)
	case unit == "bytes" && v >= 0:
		return vitals.Bytes(uint64(v))
	case strings.HasSuffix(unit, "seconds") && math.Abs(v) < math.MaxInt64/1e9:
		return roundTo3(time.Duration(v * 1e9)).String()
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
}

// roundTo3 rounds a duration to about three digits.
func roundTo3(d time.Duration) time.Duration {
	unit := time.Duration(1)
	for d/unit >= 1000 && unit < time.Second/100 {
		unit *= 10
	}
	return d.Round(unit)
}

// spreadText returns the number of values in a histogram, and how large they are.
func spreadText(h *metrics.Float64Histogram, unit string) string {
	total := uint64(0)
	for _, n := range h.Counts {
		total += n
	}
	if total == 0 {
		return "none yet"
	}
	return fmt.Sprintf("%d: p50 %s, p99 %s, max %s", total,
		bound(h, total, 0.5, unit), bound(h, total, 0.99, unit), bound(h, total, 1, unit))
}

// bound returns an upper bound for a fraction p of the values: the end of the
// bucket in which the values, counted from the smallest, reach that fraction. If
// that bucket has no end, bound returns its start.
func bound(h *metrics.Float64Histogram, total uint64, p float64, unit string) string {
	want := max(1, uint64(math.Ceil(p*float64(total))))
	i, sum := 0, h.Counts[0]
	for ; sum < want && i+1 < len(h.Counts); sum += h.Counts[i] {
		i++
	}
	if end := h.Buckets[i+1]; !math.IsInf(end, 1) {
		return "<= " + quantity(end, unit)
	}
	return "> " + quantity(h.Buckets[i], unit)
}

// writeBuckets writes the buckets that are not empty, at most maxBuckets.
func writeBuckets(t *dump.Writer, h *metrics.Float64Histogram, unit string) {
	shown, more := 0, 0
	for i, n := range h.Counts {
		switch {
		case n == 0:
		case shown == maxBuckets:
			more++
		default:
			shown++
			t.Printf("%12d  from %s to %s\n", n, quantity(h.Buckets[i], unit), quantity(h.Buckets[i+1], unit))
		}
	}
	if more > 0 {
		t.Printf("%s more\n", plaintext.Plural(more, "bucket"))
	}
}
