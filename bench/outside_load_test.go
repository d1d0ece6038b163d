//go:build linux

package bench

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkOutsideLoad measures how long the users of a program wait while it is
// read from outside ten times in a row. The program and its clients have one CPU, the
// reader another one:
//
//	go test -run '^$' -bench OutsideLoad -benchtime 1x -timeout 30m .
//
// BENCH_GOROUTINES is the number of goroutines of the program, 100,000 by default. Before
// each window with readings there is an undisturbed one of the same length. The table
// has the medians of the rounds.
func BenchmarkOutsideLoad(b *testing.B) {
	n := goroutinesToBench(b, servingGoroutines)
	cpus := twoCPUs(b)
	binary, readers := outsidePrograms(b)
	var rows [][]string
	add := func(name string, rounds int, look func(b *testing.B, program *child)) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				quiet, reading, ratios := measureOutsideLoad(b, n, binary, cpus, rounds, look)
				ratio := medianOf(ratios, func(r float64) float64 { return r })
				b.ReportMetric(milliseconds(quiet.P99), "quiet-p99-ms")
				b.ReportMetric(milliseconds(reading.P99), "reading-p99-ms")
				b.ReportMetric(ratio, "reading/quiet")
				rows = append(rows, quiet.row(strconv.Itoa(n), "nothing", "1"),
					reading.row(strconv.Itoa(n), fmt.Sprintf("%d times %s", servingDumps, name), fmt.Sprintf("%.2f", ratio)))
			}
			b.ReportMetric(0, "ns/op")
		})
	}
	for _, r := range readers {
		if r.most > 0 {
			continue // the other way of Delve is faster
		}
		rounds := 9
		if r.peer {
			rounds = 1 // it takes a minute; the difference is large
		}
		add(r.name, rounds, func(b *testing.B, program *child) {
			ctx, cancel := context.WithTimeout(b.Context(), hang)
			defer cancel()
			cmd := r.command(ctx, program.cmd.Process.Pid)
			if err := onCPU(cpus[1], cmd.Start); err != nil {
				b.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				b.Fatalf("%s: %v", r.name, err)
			}
		})
	}
	add("pprof debug=2, inside", 1, func(b *testing.B, program *child) { program.ask(b, "debug2") })
	fmt.Print(markdownTable([]string{"goroutines", "meanwhile", "window", "requests", "p50", "p99", "max", "p99 ratio"}, rows))
}

func measureOutsideLoad(b *testing.B, n int, binary string, cpus [2]int, rounds int, look func(*testing.B, *child)) (quiet, reading window, ratios []float64) {
	var program, load *child
	start := func() error {
		program, _ = startChildOf(b, binary, "outside", strconv.Itoa(n))
		var address string
		program.askFor(b, "serve", &address)
		load, _ = startChild(b, "load", address, loadLight.String())
		return nil
	}
	_ = onCPU(cpus[0], start) // the children keep the CPU
	defer program.kill()
	defer load.kill()
	under := func(activity func()) (w window) {
		load.ask(b, "begin")
		began := time.Now()
		activity()
		w.length = time.Since(began)
		load.askFor(b, "end", &w.latencies)
		return w
	}
	readings := func() {
		for range servingDumps {
			look(b, program)
		}
	}
	last := under(readings) // determines the length of the first quiet window
	var quiets, all []window
	for range rounds {
		q := under(func() { time.Sleep(last.length) })
		last = under(readings)
		quiets, all = append(quiets, q), append(all, last)
		ratios = append(ratios, float64(last.P99)/float64(q.P99))
	}
	return medians(quiets), medians(all), ratios
}

// twoCPUs returns two CPUs that this process may use.
func twoCPUs(b *testing.B) (cpus [2]int) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		b.Fatal(err)
	}
	if set.Count() < 2 {
		b.Skip("needs two CPUs: one for the program and one for its reader")
	}
	found := 0
	for cpu := 0; found < len(cpus); cpu++ {
		if set.IsSet(cpu) {
			cpus[found] = cpu
			found++
		}
	}
	return cpus
}

// onCPU calls f on a thread that may use one CPU only. The processes that f starts
// inherit that (sched_setaffinity(2)).
func onCPU(cpu int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	defer func() { check(unix.SchedSetaffinity(0, &before)) }()
	return f()
}
