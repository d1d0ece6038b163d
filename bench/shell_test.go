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
	"testing"
	"time"
)

// BenchmarkShell runs the command line of the README, without a pause between kill
// and nc:
//
//	go test -run '^$' -bench Shell -benchtime 1000x
//
// It reports how many of the runs were answered with stacks and a prompt. It needs
// an idle machine: nc does not wait for the socket, except while it starts. So if
// another program uses a CPU for a millisecond, a round may be lost. The benchmark
// also reports which share of the CPU time the hypervisor gave to other machines.
func BenchmarkShell(b *testing.B) {
	if _, err := exec.LookPath("nc"); err != nil {
		b.Skip("needs nc; install it with apt-get install netcat-openbsd")
	}
	path := filepath.Join(b.TempDir(), "s")
	server := startProgram(b, "oneshot", os.Args[0], path)
	input := filepath.Join(b.TempDir(), "input")
	if err := os.WriteFile(input, []byte("exit\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	script := fmt.Sprintf(`while read -r _; do
		kill -USR2 %d; nc -U %s <%s >%s.out && grep -q '>>> ' %s.out && echo answered
	done`, server.Pid, path, input, input, input)
	ctx, cancel := context.WithTimeout(b.Context(), hang)
	defer cancel()
	sh := exec.CommandContext(ctx, "bash", "-c", script)
	sh.WaitDelay = time.Second // if nc outlives bash, it keeps the output open
	sh.Stdin = strings.NewReader(strings.Repeat("\n", b.N))
	before := readCPUTime(b)
	b.ResetTimer()
	answers, err := sh.Output()
	if err != nil {
		b.Logf("the last of them: %v", err)
	}
	answered := bytes.Count(answers, []byte("answered"))
	b.ReportMetric(float64(answered), "answered")
	b.ReportMetric(float64(b.N-answered), "unanswered")
	b.ReportMetric(readCPUTime(b).stolenSince(before), "stolen-%")
}

// cpuTime contains the first line of /proc/stat (proc(5)), in clock ticks.
type cpuTime struct{ total, stolen uint64 }

func readCPUTime(b *testing.B) cpuTime {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var t cpuTime
	// user, nice, system, idle, iowait, irq, softirq, steal; the other fields are part of user and nice
	for i, field := range strings.Fields(line)[1:9] {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			b.Fatalf("/proc/stat: %q: %v", line, err)
		}
		t.total += n
		if i == 7 {
			t.stolen = n
		}
	}
	return t
}

// stolenSince returns the share of stolen time since before, in percent.
func (t cpuTime) stolenSince(before cpuTime) float64 {
	return 100 * float64(t.stolen-before.stolen) / float64(max(t.total-before.total, 1))
}
