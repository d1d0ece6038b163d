//go:build linux

package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// releases contains one toolchain for each supported release of Go, the older one
// first. The go command downloads a toolchain that is not installed.
var releases = []string{"go1.26.8", "go1.27.4"}

// BenchmarkReleases compares our default dump of very many goroutines between
// programs that are built with each supported release of Go. The releases take
// turns, so that other load on the machine affects both. The metrics are the
// medians, and the ratios of the newer release to the older one:
//
//	go test -run '^$' -bench Releases -benchtime 5x -timeout 30m .
//
// BENCH_GOROUTINES is the number of goroutines, 1,000,000 by default.
func BenchmarkReleases(b *testing.B) {
	n := manyGoroutines(b)
	binaries := make([]string, len(releases))
	for i, release := range releases {
		binaries[i] = buildWith(b, release)
	}
	measured := make([][]dumped, len(releases))
	for b.Loop() {
		for i := range releases {
			measured[i] = append(measured[i], measureDump(b, binaries[i], n, "oneshot"))
		}
	}
	var rows [][]string
	medians := make([]dumped, len(releases))
	for i, release := range releases {
		m := median(measured[i])
		medians[i] = m
		rows = append(rows, m.row(n, release))
		b.ReportMetric(milliseconds(m.total), release+"-ms")
		b.ReportMetric(float64(m.Memory)/1e6, release+"-MB")
		if m.missing > 0 {
			b.Errorf("%s: %d goroutines are missing", release, m.missing)
		}
	}
	b.ReportMetric(float64(medians[1].total)/float64(medians[0].total), "time-ratio")
	b.ReportMetric(float64(medians[1].Memory)/float64(max(medians[0].Memory, 1)), "memory-ratio")
	b.ReportMetric(0, "ns/op") // it would include the start of the goroutines
	fmt.Print(markdownTable([]string{"goroutines", "release", "world stopped", "longest gap", "in all",
		"output", "extra memory", "goroutines missing"}, rows))
}

// manyGoroutines returns the value of BENCH_GOROUTINES, or a million. It skips the
// benchmark if the machine has no room for them.
func manyGoroutines(b *testing.B) int {
	b.Helper()
	n := goroutinesToBench(b, 1_000_000)
	if free := availableMemory(b); n >= 1_000_000 && free < 6<<30 {
		b.Skipf("needs 6 GB of available memory, has %d MB", free>>20)
	}
	return n
}

// buildWith builds this test binary with another toolchain, and flags.
func buildWith(b *testing.B, toolchain string, flags ...string) string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), toolchain+".test")
	build := exec.CommandContext(b.Context(), "go", append([]string{"test", "-c", "-o", binary}, append(flags, ".")...)...)
	build.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain)
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building with %s: %v\n%s", toolchain, err, out)
	}
	return binary
}

// median returns the median of each value.
func median(all []dumped) dumped {
	return dumped{
		cost: cost{
			Stop:   middle(all, func(d dumped) time.Duration { return d.Stop }),
			Gap:    middle(all, func(d dumped) time.Duration { return d.Gap }),
			Memory: middle(all, func(d dumped) int64 { return d.Memory }),
		},
		total:   middle(all, func(d dumped) time.Duration { return d.total }),
		bytes:   middle(all, func(d dumped) int { return d.bytes }),
		missing: middle(all, func(d dumped) int { return d.missing }),
	}
}

func middle[T time.Duration | int64 | int](all []dumped, of func(dumped) T) T {
	values := make([]T, len(all))
	for i, d := range all {
		values[i] = of(d)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
