package command

import (
	"context"
	"fmt"
	"math"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

var metricsCommand = &Command{
	Name: "metrics", Args: "[TEXT]", Summary: "show the runtime's metrics, or explain one",
	Help: "Shows the values of package runtime/metrics whose names contain TEXT: metrics /sched, metrics pauses. If only\n" +
		"one name matches, it shows the description too. Of a distribution it shows p50 and p99: 50 and 99 of 100 values\n" +
		"since the start of the program were not larger. The program is not stopped." + jsonHelp,
	Flags: []string{jsonFlag}, Run: answers(findMetrics), complete: completeMetrics,
}

// maxBuckets limits the rows of a histogram that are shown.
const maxBuckets = 64

// metricsAnswer is the answer of metrics.
type metricsAnswer struct{ document.Metrics }

func findMetrics(_ context.Context, _ Session, args []string) (Answer, error) {
	part := ""
	switch len(args) {
	case 0:
	case 1:
		part = args[0]
	default:
		return nil, fmt.Errorf("metrics: one name or part of it at a time, not %q", plaintext.Clip(strings.Join(args, " "), 80))
	}
	chosen := chooseMetrics(metrics.All(), part)
	if len(chosen) == 0 {
		return nil, fmt.Errorf("metrics: no name contains %q; metrics without TEXT lists them all", plaintext.Clip(part, 80))
	}
	samples := make([]metrics.Sample, len(chosen))
	for i, d := range chosen {
		samples[i].Name = d.Name
	}
	metrics.Read(samples)
	a := &metricsAnswer{document.Metrics{Head: document.Of("metrics")}}
	for _, sample := range samples {
		if part == "" && strings.HasPrefix(sample.Name, "/godebug/") && sample.Value.Uint64() == 0 {
			a.Quiet++
			continue
		}
		a.Metrics.Metrics = append(a.Metrics.Metrics, metricOf(sample))
	}
	if len(chosen) == 1 {
		only := &a.Metrics.Metrics[0]
		only.Description = chosen[0].Description
		if samples[0].Value.Kind() == metrics.KindFloat64Histogram {
			only.Buckets, only.MoreBuckets = bucketsOf(samples[0].Value.Float64Histogram())
		}
	}
	return a, nil
}

// metricOf returns one metric. A value that stands for no limit, or for off, has only a
// text.
func metricOf(sample metrics.Sample) document.Metric {
	m := document.Metric{Name: sample.Name, Text: valueText(sample)}
	value := func(v float64) *float64 { return &v }
	switch sample.Value.Kind() {
	case metrics.KindUint64:
		if m.Text != "none" && m.Text != "off" {
			m.Value = value(float64(sample.Value.Uint64()))
		}
	case metrics.KindFloat64:
		m.Value = value(sample.Value.Float64())
	case metrics.KindFloat64Histogram:
		h := sample.Value.Float64Histogram()
		for _, n := range h.Counts {
			m.Count += n
		}
		if m.Count > 0 {
			at := func(p float64) *float64 { v, _ := bound(h, m.Count, p); return &v }
			m.P50, m.P99, m.Max = at(0.5), at(0.99), at(1)
		}
	}
	return m
}

// Text implements Answer.
func (a *metricsAnswer) Text(t *dump.Writer) {
	width := 0
	for _, m := range a.Metrics.Metrics {
		width = max(width, len(m.Name))
	}
	for _, m := range a.Metrics.Metrics {
		if t.Ended() {
			return
		}
		t.Printf("%-*s  %s\n", width, m.Name, m.Text)
	}
	if a.Quiet > 0 {
		t.Printf("%s at 0 left out: metrics /godebug\n", plaintext.Plural(a.Quiet, "counter"))
	}
	for _, m := range a.Metrics.Metrics {
		if m.Description != "" { // it is the only one
			t.Printf("%s\n", m.Description)
			writeBuckets(t, &m)
		}
	}
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
	return "of an unknown kind"
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
		return plaintext.Duration(time.Duration(v * 1e9)).String()
	}
	return strconv.FormatFloat(v, 'g', 6, 64)
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
	text := func(p float64) string {
		v, end := bound(h, total, p)
		if end {
			return "<= " + quantity(v, unit)
		}
		return "> " + quantity(v, unit)
	}
	return fmt.Sprintf("%d: p50 %s, p99 %s, max %s", total, text(0.5), text(0.99), text(1))
}

// bound returns an upper bound for a fraction p of the values: the end of the
// bucket in which the values, counted from the smallest, reach that fraction. If
// that bucket has no end, bound returns its start, and end is false.
func bound(h *metrics.Float64Histogram, total uint64, p float64) (value float64, end bool) {
	want := max(1, uint64(math.Ceil(p*float64(total))))
	i, sum := 0, h.Counts[0]
	for ; sum < want && i+1 < len(h.Counts); sum += h.Counts[i] {
		i++
	}
	if v := h.Buckets[i+1]; !math.IsInf(v, 1) {
		return v, true
	}
	return h.Buckets[i], false
}

// bucketsOf returns the buckets that are not empty, at most maxBuckets, and how many
// there are more.
func bucketsOf(h *metrics.Float64Histogram) (buckets []document.Bucket, more int) {
	for i, n := range h.Counts {
		switch {
		case n == 0:
		case len(buckets) == maxBuckets:
			more++
		default:
			buckets = append(buckets, document.Bucket{Count: n, From: h.Buckets[i], To: h.Buckets[i+1]})
		}
	}
	return buckets, more
}

func writeBuckets(t *dump.Writer, m *document.Metric) {
	unit := unitOf(m.Name)
	for _, b := range m.Buckets {
		t.Printf("%12d  from %s to %s\n", b.Count, quantity(b.From, unit), quantity(b.To, unit))
	}
	if m.MoreBuckets > 0 {
		t.Printf("%s more\n", plaintext.Plural(m.MoreBuckets, "bucket"))
	}
}
