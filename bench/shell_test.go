//go:build linux

package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkShell types what the README says, with nothing between kill and nc:
//
//	go test -run '^$' -bench Shell -benchtime 1000x
//
// and reports how many of the runs were answered with stacks and a prompt. It
// wants an idle machine: nothing makes nc wait for the socket but its own start.
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
	sh := exec.Command("bash", "-c", script)
	sh.Stdin = strings.NewReader(strings.Repeat("\n", b.N))
	b.ResetTimer()
	answers, err := sh.Output()
	if err != nil {
		b.Logf("the last of them: %v", err)
	}
	answered := bytes.Count(answers, []byte("answered"))
	b.ReportMetric(float64(answered), "answered")
	b.ReportMetric(float64(b.N-answered), "unanswered")
}
