//go:build linux

package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"
)

const (
	servingGoroutines = 100_000
	servingDumps      = 10
)

// BenchmarkServing measures how long the users of a program with 100,000 goroutines
// wait while the program is dumped ten times in a row. It compares our default form
// with the full form of pprof:
//
//	go test -run '^$' -bench Serving -benchtime 1x -timeout 30m .
//
// Before each window with dumps there is a window without dumps, in the same
// process. It is as long as the dumps take, because the maximum grows with the
// length of a window. The benchmark reports the medians of the rounds, so that
// another program on the machine hardly changes the results.
//
// Under the light load, most requests find an idle CPU. Any other computation in the
// program then makes them slower. So compare with the control there: a goroutine
// that does not allocate, stop the world or lock.
func BenchmarkServing(b *testing.B) {
	var rows [][]string
	for _, c := range []struct {
		load     string
		interval time.Duration
		way      string
		rounds   int
	}{
		{"full", loadFull, "oneshot", 9},
		{"full", loadFull, "busy", 5},
		{"full", loadFull, "pprof-debug2", 3}, // half a minute each; the difference is large, so 3 rounds are enough
		{"light", loadLight, "oneshot", 9},
		{"light", loadLight, "busy", 5},
	} {
		b.Run(c.load+"/"+c.way, func(b *testing.B) {
			var quiet, dumping window
			var ratios []float64
			for b.Loop() {
				quiet, dumping, ratios = measureServing(b, c.way, c.interval, c.rounds)
			}
			ratio := medianOf(ratios, func(r float64) float64 { return r })
			b.ReportMetric(milliseconds(quiet.P99), "quiet-p99-ms")
			b.ReportMetric(milliseconds(dumping.P99), "dumping-p99-ms")
			b.ReportMetric(ratio, "dumping/quiet")
			b.ReportMetric(0, "ns/op")
			rows = append(rows,
				quiet.row(c.load, "nothing", "1"),
				dumping.row(c.load, fmt.Sprintf("%d times %s", servingDumps, c.way), fmt.Sprintf("%.2f", ratio)))
		})
	}
	fmt.Print(markdownTable([]string{"load", "meanwhile", "window", "requests", "p50", "p99", "max", "p99 ratio"}, rows))
}

// window contains the results of some time under load.
type window struct {
	latencies
	length time.Duration
}

func (w window) row(load, name, ratio string) []string {
	return []string{load, name, fmt.Sprintf("%.1f s", w.length.Seconds()), strconv.Itoa(w.Requests),
		ms(w.P50), ms(w.P99), ms(w.Max), ratio}
}

func measureServing(b *testing.B, way string, interval time.Duration, rounds int) (quiet, dumping window, ratios []float64) {
	program, dumps := startChild(b, "dump", way, strconv.Itoa(servingGoroutines))
	defer program.kill()
	var address string
	program.askFor(b, "serve", &address)
	load, _ := startChild(b, "load", address, interval.String())
	defer load.kill()

	under := func(activity func()) (w window) {
		load.ask(b, "begin")
		began := time.Now()
		activity()
		w.length = time.Since(began)
		load.askFor(b, "end", &w.latencies)
		return w
	}
	dump := func() {
		for range servingDumps {
			fetchDump(b, dumps)
		}
	}
	last := under(dump) // warms up, and determines the length of the first quiet window
	var quiets, dumpings []window
	for range rounds {
		q := under(func() { time.Sleep(last.length) })
		last = under(dump)
		quiets, dumpings = append(quiets, q), append(dumpings, last)
		ratios = append(ratios, float64(last.P99)/float64(q.P99))
	}
	return medians(quiets), medians(dumpings), ratios
}

// medians returns the median of each value.
func medians(all []window) (m window) {
	m.length = medianOf(all, func(w window) time.Duration { return w.length })
	m.Requests = medianOf(all, func(w window) int { return w.Requests })
	m.P50 = medianOf(all, func(w window) time.Duration { return w.P50 })
	m.P99 = medianOf(all, func(w window) time.Duration { return w.P99 })
	m.Max = medianOf(all, func(w window) time.Duration { return w.Max })
	return m
}

func medianOf[W any, T cmp.Ordered](all []W, of func(W) T) T {
	var values []T
	for _, w := range all {
		values = append(values, of(w))
	}
	slices.Sort(values)
	return values[len(values)/2]
}
