//go:build linux

package bench

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	bundleGoroutines = 100_000
	bundleRounds     = 3
	profiled         = 5 // seconds
)

// BenchmarkBundle makes bundles of a program with 100,000 goroutines, which serves requests
// meanwhile. It compares how long its users wait with how long they wait during a plain
// CPU profile of the same time:
//
//	go test -run '^$' -bench Bundle -benchtime 1x .
//
// The results are the medians of the rounds; stopped is the largest one.
func BenchmarkBundle(b *testing.B) {
	client, err := buildClient()
	if err != nil {
		b.Fatal(err)
	}
	program, _ := startChild(b, "dump", "manhole", strconv.Itoa(bundleGoroutines))
	defer program.kill()
	pid := strconv.Itoa(program.cmd.Process.Pid)
	var address string
	program.askFor(b, "serve", &address)
	load, _ := startChild(b, "load", address, loadLight.String())
	defer load.kill()
	under := func(args ...string) (w window) {
		load.ask(b, "begin")
		began := time.Now()
		if out, err := exec.Command(client, args...).CombinedOutput(); err != nil {
			b.Errorf("%q: %v: %.2000s", args, err, out)
		}
		w.length = time.Since(began)
		load.askFor(b, "end", &w.latencies)
		return w
	}
	dir := b.TempDir()
	under(pid, "stacks") // warms up
	var plain, bundles []window
	var ratios []float64
	var size int64
	var stopped stops
	for b.Loop() {
		for i := range bundleRounds {
			file := filepath.Join(dir, fmt.Sprintf("%d-%d.tar.gz", len(bundles), i))
			p := under("bundle", "-for", fmt.Sprint(profiled)+"s", "-o", file, pid)
			c := under(pid, "profile", "cpu", "-seconds", fmt.Sprint(profiled), "-o", file+".pprof")
			bundles, plain, ratios = append(bundles, p), append(plain, c), append(ratios, float64(p.P99)/float64(c.P99))
			if info, err := os.Stat(file); err == nil {
				size = max(size, info.Size())
			}
			s, err := stopsOf(file)
			if err != nil {
				b.Fatal(err)
			}
			if s.Total > stopped.Total {
				stopped = s
			}
		}
	}
	ratio := medianOf(ratios, func(r float64) float64 { return r })
	b.ReportMetric(medians(bundles).length.Seconds(), "s/bundle")
	b.ReportMetric(float64(size)/1e6, "MB")
	b.ReportMetric(stopped.Total*1e3, "stopped-ms")
	b.ReportMetric(stopped.Longest*1e3, "longest-ms")
	b.ReportMetric(ratio, "p99/profile")
	b.ReportMetric(0, "ns/op")
	fmt.Print(markdownTable([]string{"load", "meanwhile", "window", "requests", "p50", "p99", "max", "p99 ratio"}, [][]string{
		medians(plain).row("light", "CPU profile", "1"), medians(bundles).row("light", "bundle", fmt.Sprintf("%.2f", ratio)),
	}))
	fmt.Printf("stops of the world: %d, %.3f ms in all, the longest %.3f ms: %s\n", stopped.Count, stopped.Total*1e3, stopped.Longest*1e3, stopped.parts)
}

// stops are the stops of the world that a manifest has.
type stops struct {
	Count   uint64  `json:"count"`
	Longest float64 `json:"longest_at_most"`
	Total   float64 `json:"total_at_most"`
	parts   string
}

// stopsOf returns the stops while a bundle was made.
func stopsOf(file string) (stops, error) {
	var m struct {
		Stopped stops `json:"stopped"`
		Parts   []struct {
			Name    string `json:"name"`
			Stopped stops  `json:"stopped"`
		} `json:"parts"`
	}
	parts, err := partsOf(file)
	if err == nil {
		err = json.Unmarshal(parts["manifest.json"], &m)
	}
	for _, p := range m.Parts {
		if p.Stopped.Count > 0 {
			m.Stopped.parts += fmt.Sprintf("%s %d/%.3f ms ", p.Name, p.Stopped.Count, p.Stopped.Total*1e3)
		}
	}
	return m.Stopped, err
}

// partsOf returns the parts of a bundle by their names.
func partsOf(file string) (map[string][]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	unpacked, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	parts := make(map[string][]byte)
	for archive := tar.NewReader(unpacked); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		} else if err != nil {
			return nil, err
		}
		_, name, _ := strings.Cut(header.Name, "/")
		if parts[name], err = io.ReadAll(archive); err != nil {
			return nil, err
		}
	}
}
