//go:build linux

package bench

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// BenchmarkInside compares three ways to look at very many goroutines of the own
// program: our default dump, which reads them one by one from the program's memory; the
// same dump in a build with oneshot_portable, which takes a goroutine profile and has no
// ids; and debug=2, which has ids but stops the program. They take turns. The metrics
// are the medians:
//
//	go test -run '^$' -bench Inside -benchtime 3x -timeout 30m .
//
// BENCH_GOROUTINES is the number of goroutines, 1,000,000 by default.
func BenchmarkInside(b *testing.B) {
	n := manyGoroutines(b)
	portable := buildWith(b, "local", "-tags", "oneshot_portable")
	ways := []struct{ name, binary, way string }{
		{"oneshot", os.Args[0], "oneshot"},
		{"portable", portable, "oneshot"},
		{"pprof-debug2", os.Args[0], "pprof-debug2"},
	}
	measured := make([][]dumped, len(ways))
	for b.Loop() {
		for i, w := range ways {
			measured[i] = append(measured[i], measureDump(b, w.binary, n, w.way))
		}
	}
	var rows [][]string
	for i, w := range ways {
		m := median(measured[i])
		rows = append(rows, m.row(n, w.name))
		b.ReportMetric(milliseconds(m.total), w.name+"-ms")
		b.ReportMetric(float64(m.Memory)/1e6, w.name+"-MB")
		b.ReportMetric(milliseconds(m.Stop), w.name+"-stop-ms")
	}
	ours := median(measured[0])
	if ours.missing > 0 || ours.Stop > 100*time.Microsecond {
		b.Errorf("oneshot: %d goroutines are missing; the program was stopped for %v", ours.missing, ours.Stop)
	}
	b.ReportMetric(0, "ns/op") // it would include the start of the goroutines
	fmt.Print(markdownTable([]string{"goroutines", "way", "world stopped", "longest gap", "in all",
		"output", "extra memory", "goroutines missing"}, rows))
}
