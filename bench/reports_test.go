//go:build linux

package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// BenchmarkReports sends a program its ReportOn 100 times a second, for a minute. It
// reports what that costs beyond the reports: the seconds in which one is written, and
// those after them, do not count.
//
//	go test -run '^$' -bench Reports -benchtime 1x .
func BenchmarkReports(b *testing.B) {
	program := filepath.Join(b.TempDir(), "auto")
	if out, err := exec.Command("go", "build", "-o", program, "github.com/gomanhole/oneshot/examples/auto").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	var log testwait.Buffer
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "ONESHOT=report_on=USR1")
	cmd.Stderr, cmd.WaitDelay = &log, testwait.OutputTime
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	testwait.Deadline(b, stdout)
	if _, err := stdout.Read(make([]byte, 1)); err != nil { // it prints its pid when it is ready
		b.Fatal(err)
	}
	go io.Copy(io.Discard, stdout)
	reports := func() int { return strings.Count(log.String(), "oneshot: report line=1 ") }

	var quiet, used time.Duration
	sent := 0
	for b.Loop() {
		busy := true // there was a report in the last second
		for range 60 {
			before, cpu, began := reports(), cpuTimes(b, cmd.Process.Pid), time.Now()
			for range 100 {
				if err := cmd.Process.Signal(syscall.SIGUSR1); err != nil {
					b.Fatal(err)
				}
				sent++
				time.Sleep(10 * time.Millisecond)
			}
			took, more := time.Since(began), cpuTimes(b, cmd.Process.Pid)-cpu
			wasBusy := busy
			if busy = reports() > before; !busy && !wasBusy {
				quiet, used = quiet+took, used+more
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(sent), "signals")
	b.ReportMetric(float64(reports()), "reports")
	b.ReportMetric(100*used.Seconds()/quiet.Seconds(), "%CPU-between")
}

// cpuTimes returns the CPU time that the threads of a process have used.
func cpuTimes(b *testing.B, pid int) (used time.Duration) {
	b.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		b.Fatalf("no times of process %d: %v", pid, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		var ns int64
		if _, err := fmt.Sscan(string(text), &ns); err != nil {
			b.Fatal(err)
		}
		used += time.Duration(ns)
	}
	return used
}
