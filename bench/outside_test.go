//go:build linux

package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// delve is the debugger that programs are looked into with today.
const delve = "github.com/go-delve/delve/cmd/dlv@v1.27.2"

// The targets: our share of Delve's time and memory, at most. They count from
// minTargets goroutines on; with fewer, the start of the two programs is measured.
const (
	maxTimeShare   = 1.0 / 10
	maxMemoryShare = 1.0 / 4
	minTargets     = 100_000
)

// reader reads the goroutines of a process from outside.
type reader struct {
	name    string
	command func(ctx context.Context, pid int) *exec.Cmd
	most    int  // the most goroutines with which it is measured; 0: any
	peer    bool // it is what ours is compared with
	ours    bool
	looks   int // how often it reads all goroutines; with more than one the targets do not hold
}

// BenchmarkOutside compares reading all goroutines of a process from outside with
// Delve, which go install gets through the module proxy:
//
//	go test -run '^$' -bench 'Outside$' -benchtime 1x -timeout 30m .
//
// BENCH_GOROUTINES is the number of goroutines; without it, there are 100,000 and then
// 1,000,000. It prints a table at the end. It fails if ours is not much cheaper, or does
// not show every goroutine.
func BenchmarkOutside(b *testing.B) {
	sizes := []int{100_000, 1_000_000}
	if n := goroutinesToBench(b, 0); n > 0 {
		sizes = []int{n}
	}
	program, readers := outsidePrograms(b)
	var rows [][]string
	for _, n := range sizes {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			if free := availableMemory(b); n >= 1_000_000 && free < 12<<30 {
				b.Skipf("needs 12 GB of available memory, has %d MB", free>>20)
			}
			for b.Loop() {
				rows = append(rows, compareOutside(b, n, program, readers)...)
			}
			b.ReportMetric(0, "ns/op") // it would include the start of the goroutines
		})
	}
	fmt.Print(markdownTable([]string{"goroutines", "reader", "time", "peak memory", "longest gap", "traced",
		"goroutines missing", "time / Delve's", "memory / Delve's"}, rows))
}

// goCommand runs a go command in a folder.
func goCommand(b *testing.B, in string, env []string, args ...string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), hang)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = in
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// outsidePrograms builds the program that is read, which has to be started with
// startChildOf, and the programs that read.
func outsidePrograms(b *testing.B) (program string, readers []reader) {
	b.Helper()
	dir := b.TempDir()
	program = filepath.Join(dir, "program")
	// The binary that go test runs has no debugging information; without it, Delve sees no
	// goroutine.
	goCommand(b, ".", nil, "test", "-c", "-o", program, ".")
	goCommand(b, "..", nil, "build", "-o", filepath.Join(dir, "oneshot"), "./cmd/oneshot") // the client is not in this module
	goCommand(b, "", []string{"GOBIN=" + dir, "GOFLAGS=-mod=mod"}, "install", delve)
	ours := func(args ...string) func(context.Context, int) *exec.Cmd {
		return func(ctx context.Context, pid int) *exec.Cmd {
			return exec.CommandContext(ctx, filepath.Join(dir, "oneshot"), append([]string{strconv.Itoa(pid)}, args...)...)
		}
	}
	theirs := func(command string) func(context.Context, int) *exec.Cmd {
		script := filepath.Join(dir, strings.ReplaceAll(command, " ", ""))
		write(b, script, command+"\nexit\n")
		return func(ctx context.Context, pid int) *exec.Cmd {
			cmd := exec.CommandContext(ctx, filepath.Join(dir, "dlv"), "attach", strconv.Itoa(pid), "--allow-non-terminal-interactive=true", "--init", script)
			cmd.Env = append(os.Environ(), "XDG_CONFIG_HOME="+dir)
			cmd.Stdin = strings.NewReader("n\n") // it asks whether to kill the process
			return cmd
		}
	}
	return program, []reader{
		{name: "Delve, goroutines -group user", command: theirs("goroutines -group user"), peer: true},
		{name: "Delve, goroutines -t 50", command: theirs("goroutines -t 50"), most: 100_000}, // 35 kB of memory for each
		{name: "oneshot stacks -n 0, three looks", command: ours("stacks", "-n", "0"), ours: true, looks: 3},
		{name: "oneshot stacks -go", command: ours("stacks", "-go"), ours: true, looks: 1},
	}
}

// outsideCost is what a reading cost.
type outsideCost struct {
	total   time.Duration
	memory  int64         // the peak of the reader
	gap     time.Duration // of the process, see watch
	traced  time.Duration // how long the process had a tracer
	missing int
}

// compareOutside lets all readers read the same process, and returns the rows of a table.
func compareOutside(b *testing.B, n int, binary string, readers []reader) (rows [][]string) {
	program, _ := startChildOf(b, binary, "outside", strconv.Itoa(n))
	defer program.kill()
	var undisturbed time.Duration
	program.ask(b, "begin")
	time.Sleep(time.Second)
	program.askFor(b, "end", &undisturbed)
	rows = append(rows, []string{strconv.Itoa(n), "nothing", "1 s", "", ms(undisturbed), "never", "", "", ""})
	var peer outsideCost
	for _, r := range readers {
		if r.most > 0 && n > r.most {
			continue
		}
		got := measureOutside(b, n, program, r)
		row := []string{strconv.Itoa(n), r.name, ms(got.total), size(got.memory), ms(got.gap), "never", "none", "", ""}
		if got.traced > 0 {
			row[5] = ms(got.traced)
		}
		if got.missing > 0 {
			row[6] = strconv.Itoa(got.missing)
		}
		if r.peer {
			if got.missing > 0 {
				b.Fatalf("%s did not see %d of %d goroutines: there is nothing to compare with", r.name, got.missing, n)
			}
			peer = got
		} else if r.ours {
			timeShare, memoryShare := float64(got.total)/float64(peer.total), float64(got.memory)/float64(peer.memory)
			row[7], row[8] = fmt.Sprintf("%.3f", timeShare), fmt.Sprintf("%.3f", memoryShare)
			if n >= minTargets && r.looks == 1 && (timeShare > maxTimeShare || memoryShare > maxMemoryShare) {
				b.Errorf("%d goroutines, %s: %.3f of Delve's time and %.3f of its memory", n, r.name, timeShare, memoryShare)
			}
			if got.missing > 0 || got.traced > 0 {
				b.Errorf("%d goroutines, %s: %d are missing, traced for %v", n, r.name, got.missing, got.traced)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// measureOutside lets a reader read a process with n goroutines once.
func measureOutside(b *testing.B, n int, program *child, r reader) (got outsideCost) {
	ctx, cancel := context.WithTimeout(b.Context(), hang)
	defer cancel()
	cmd := r.command(ctx, program.cmd.Process.Pid)
	var errors bytes.Buffer
	shown := &counter{}
	cmd.Stdout, cmd.Stderr = shown, &errors
	program.ask(b, "begin")
	tracer := watchTracer(program.cmd.Process.Pid)
	began := time.Now()
	err := cmd.Run()
	got.total = time.Since(began)
	got.traced = tracer()
	program.askFor(b, "end", &got.gap)
	if err != nil {
		b.Fatalf("%s: %v\n%s", r.name, err, &errors)
	}
	got.memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
	// A process begins with the peak of the one that started it (getrusage(2)).
	if own := status("VmHWM"); got.memory <= own {
		b.Logf("%s: it used at most the %s that the benchmark itself had used", r.name, size(own))
	}
	got.missing = max(n-shown.goroutines, 0)
	return got
}

// watchTracer watches whether a process has a tracer. The function that it returns ends
// that, and returns how long it had one.
func watchTracer(pid int) (end func() time.Duration) {
	stop := make(chan struct{})
	var traced time.Duration
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for last := time.Now(); ; {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
			now := time.Now()
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err == nil && !bytes.Contains(text, []byte("\nTracerPid:\t0\n")) {
				traced += now.Sub(last)
			}
			last = now
		}
	})
	return func() time.Duration {
		close(stop)
		watcher.Wait()
		return traced
	}
}

// counter counts the goroutines in the output of a reader. It does not keep the output,
// which may have a gigabyte.
type counter struct {
	goroutines int
	line       []byte // the beginning of a line whose end has not come yet
}

func (c *counter) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, whole := bytes.Cut(p, []byte{'\n'})
		if !whole {
			c.line = append(c.line, line...)
			return n, nil
		}
		if len(c.line) > 0 {
			line = append(c.line, line...)
		}
		c.count(line)
		c.line, p = c.line[:0], rest
	}
}

func (c *counter) count(line []byte) {
	switch {
	case bytes.HasPrefix(line, []byte("goroutine ")): // oneshot stacks -go
		c.goroutines++
	case bytes.HasPrefix(line, []byte("\tTotal: ")): // Delve, a group
		c.goroutines += number(line[len("\tTotal: "):])
	case bytes.HasPrefix(line, []byte("[")) && bytes.HasSuffix(line, []byte(" goroutines]")): // Delve, the last line
		c.goroutines += number(line[len("["):])
	case len(line) > 0 && line[0] >= '0' && line[0] <= '9': // oneshot stacks, a group
		c.goroutines += goroutinesIn(append(line, '\n'))
	}
}

// number returns the number that a text begins with.
func number(text []byte) (n int) {
	for _, digit := range text {
		if digit < '0' || digit > '9' {
			break
		}
		n = 10*n + int(digit-'0')
	}
	return n
}

// goroutinesToBench returns BENCH_GOROUTINES, or the default.
func goroutinesToBench(b *testing.B, otherwise int) int {
	text := os.Getenv("BENCH_GOROUTINES")
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		b.Fatalf("BENCH_GOROUTINES: %q is not a number of goroutines", text)
	}
	return n
}
