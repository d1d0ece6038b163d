//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gops/signal"
)

// BenchmarkDump measures the cost of a dump for the dumped program. It compares our
// default dump, the agent of gops and runtime/pprof, each in its own process:
//
//	go test -run '^$' -bench 'Dump$' -benchtime 1x -timeout 30m .
//
// It prints a table at the end. With several rounds, the table has the worst value
// of each.
func BenchmarkDump(b *testing.B) {
	var rows [][]string
	for _, n := range []int{300, 1_000, 10_000, 100_000, 1_000_000} {
		for _, way := range []string{"oneshot", "gops", "pprof-debug1", "pprof-debug2"} {
			b.Run(fmt.Sprintf("%d/%s", n, way), func(b *testing.B) {
				if free := availableMemory(b); n >= 1_000_000 && free < 6<<30 {
					b.Skipf("needs 6 GB of available memory, has %d MB", free>>20)
				}
				var worst dumped
				for b.Loop() {
					worst = worst.or(measureDump(b, os.Args[0], n, way))
				}
				b.ReportMetric(milliseconds(worst.Stop), "stop-ms")
				b.ReportMetric(milliseconds(worst.Gap), "gap-ms")
				b.ReportMetric(milliseconds(worst.total), "total-ms")
				b.ReportMetric(float64(worst.bytes), "bytes")
				b.ReportMetric(float64(worst.Memory)/1e6, "extra-MB")
				b.ReportMetric(float64(worst.missing), "missing")
				b.ReportMetric(0, "ns/op") // it would include the start of the goroutines
				rows = append(rows, worst.row(n, way))
			})
		}
	}
	fmt.Print(markdownTable([]string{"goroutines", "way", "world stopped", "longest gap", "in all",
		"output", "extra memory", "goroutines missing"}, rows))
}

// dumped contains the results of a dump, from the program and from its reader.
type dumped struct {
	cost
	total   time.Duration
	bytes   int
	missing int // goroutines that exist but are not in the dump
}

func (d dumped) or(o dumped) dumped {
	return dumped{
		cost{max(d.Stop, o.Stop), max(d.Gap, o.Gap), max(d.Memory, o.Memory)},
		max(d.total, o.total), max(d.bytes, o.bytes), max(d.missing, o.missing),
	}
}

func (d dumped) row(n int, way string) []string {
	missing := "none"
	if d.missing > 0 {
		missing = fmt.Sprintf("%d (%d%%)", d.missing, 100*d.missing/n)
	}
	return []string{strconv.Itoa(n), way, ms(d.Stop), ms(d.Gap), ms(d.total),
		size(int64(d.bytes)), size(d.Memory), missing}
}

// measureDump measures one dump of n goroutines, in a program of a build of this
// test binary.
func measureDump(b *testing.B, binary string, n int, way string) (d dumped) {
	program, address := startChildOf(b, binary, "dump", way, strconv.Itoa(n))
	defer program.kill()
	program.ask(b, "begin")
	began := time.Now()
	text := fetchDump(b, address)
	d.total = time.Since(began)
	program.askFor(b, "end", &d.cost)
	d.bytes = len(text)
	d.missing = max(n-goroutinesIn(text), 0) // the dump may contain other goroutines of the program too
	return d
}

// fetchDump fetches a dump in the way of the gops command's subcommand stack.
func fetchDump(b *testing.B, address string) []byte {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(hang)); err != nil {
		b.Fatal(err)
	}
	if _, err := conn.Write([]byte{signal.StackTrace}); err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil {
		b.Fatalf("after %d bytes: %v", len(text), err)
	}
	return text
}

// The lines that show the number of goroutines, in each kind of dump.
var counts = []*regexp.Regexp{
	regexp.MustCompile(`^(goroutine) \d+ .*\[`),                      // debug=2
	regexp.MustCompile(`^(\d+) @ 0x`),                                // debug=1
	regexp.MustCompile(`^\d+ groups? more with (\d+) goroutines?: `), // ours, the groups that are left out
	regexp.MustCompile(`^(\d+)(?: \(\d+%\))? [a-z]`),                 // ours, a group
}

// goroutinesIn counts the goroutines in a dump.
func goroutinesIn(text []byte) (n int) {
	for line := range bytes.Lines(text) {
		if !strings.ContainsRune("g0123456789", rune(line[0])) {
			continue // most lines; the expressions would be slow for millions of them
		}
		if bytes.Contains(line, []byte(" by identical stacks")) {
			continue // ours, the number of all goroutines
		}
		for _, count := range counts {
			found := count.FindSubmatch(line)
			if found == nil {
				continue
			}
			if c, err := strconv.Atoi(string(found[1])); err == nil {
				n += c
			} else {
				n++
			}
			break
		}
	}
	return n
}

func availableMemory(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		b.Fatal(err)
	}
	return kilobytes(text, "MemAvailable")
}

func size(n int64) string {
	switch {
	case n >= 10e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f kB", float64(n)/1e3)
}
