//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// screenful is how many lines a tired person reads.
const screenful = 40

// crowd is the flag that makes ./diagnosed a large program.
const crowd = "-crowd"

// TestFaultsAreFoundOnTheFirstScreen requires that the first screen shows the
// line that a person has to look at.
func TestFaultsAreFoundOnTheFirstScreen(t *testing.T) {
	for _, name := range diagnosed(t, "faults") {
		t.Run(name, func(t *testing.T) { requireFound(t, name) })
	}
}

// TestFaultsAreFoundInALargeProgram is about programs that are too large to stop
// them for the identity of each goroutine. A missed wakeup is not found there. A
// dead downstream is found only if the program does little else.
func TestFaultsAreFoundInALargeProgram(t *testing.T) {
	for _, name := range []string{
		"channelLeak", "channelLeak2", "lockConvoy", "lockConvoy2", "deadlock", "deadlock2", "spin", "spin2",
		"mapGrows", "memoryLimit", "descriptors", "stuckLog", "stuckLog2",
	} {
		t.Run(name, func(t *testing.T) { requireFound(t, name, crowd) })
	}
}

// TestNothingStandsOutInHealthyPrograms requires that the first screen sends
// nobody the wrong way.
func TestNothingStandsOutInHealthyPrograms(t *testing.T) {
	for _, name := range diagnosed(t, "healthy") {
		t.Run(name, func(t *testing.T) {
			requireNothingStandsOut(t, name)
			if name != "keepalive" { // which is large already
				requireNothingStandsOut(t, name, crowd)
			}
		})
	}
}

// diagnosed returns the names of the programs of a kind in ./diagnosed.
func diagnosed(t *testing.T, kind string) []string {
	t.Helper()
	out, err := testwait.Command(t, plain(t, "./diagnosed"), "-list", kind).Output()
	require.NoError(t, err)
	names := strings.Fields(string(out))
	require.NotEmpty(t, names, "there are no %s programs", kind)
	return names
}

// guiltyLines returns the lines of ./diagnosed that are marked as the cause of a
// fault, as FILE:LINE.
func guiltyLines(t *testing.T, name string) (lines []string) {
	t.Helper()
	files, err := filepath.Glob("diagnosed/*.go")
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		n := 0
		for line := range strings.Lines(string(source)) {
			n++
			if _, names, ok := strings.Cut(line, "// GUILTY "); ok && slices.Contains(strings.Fields(names), name) {
				lines = append(lines, fmt.Sprintf("/%s:%d", file, n))
			}
		}
	}
	require.NotEmpty(t, lines, "no line is marked GUILTY %s", name)
	return lines
}

// firstScreen starts a program of ./diagnosed and returns the first screen of its
// manhole.
func firstScreen(t *testing.T, name string, flags ...string) string {
	t.Helper()
	cmd := exec.Command(plain(t, "./diagnosed"), append(flags, name)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	path := t.TempDir() + "/s"
	cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
	c := start(t, cmd, "ready")
	c.path = path
	conn := conversation{c.visit(t), t}
	return conn.until(">>> ")
}

// requireFound requires that the first screen shows a guilty line. While other
// tests keep the CPUs busy, a look may find a spinning goroutine off its CPU, where
// it works for the garbage collector, or may see a program that spins get a tenth of
// a CPU. So there are at least three tries, as for a person who looks again, and
// more until the usual deadline.
func requireFound(t *testing.T, name string, flags ...string) {
	t.Helper()
	guilty := guiltyLines(t, name)
	var top string
	deadline := time.Now().Add(testwait.Patience)
	for try := 0; try < 3 || time.Now().Before(deadline); try++ {
		lines := strings.Split(firstScreen(t, name, flags...), "\n")
		top = strings.Join(lines[:min(len(lines), screenful)], "\n") + "\n"
		if strings.Contains(top, "What stands out:") && slices.ContainsFunc(guilty, func(line string) bool {
			return strings.Contains(top, line+"\n")
		}) {
			return
		}
	}
	require.Fail(t, "not found", "none of %v stands out in\n%s", guilty, top)
}

// requireNothingStandsOut requires a first screen without findings. While other
// tests keep the CPUs busy, the program may make no progress between the looks, and
// seem to be stuck. So there are three tries here too.
func requireNothingStandsOut(t *testing.T, name string, flags ...string) {
	t.Helper()
	var screen string
	for range 3 {
		screen = firstScreen(t, name, flags...)
		require.Contains(t, screen, "by identical stacks")
		if !strings.Contains(screen, "What stands out") {
			return
		}
	}
	require.Fail(t, "something stands out", "%s", screen[:min(len(screen), 4000)])
}
