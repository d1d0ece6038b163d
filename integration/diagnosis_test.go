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

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// The size of the terminal that everybody has.
const (
	rows    = 24
	columns = 80
)

// crowd is the flag that makes ./diagnosed a large program.
const crowd = "-crowd"

// TestFaultsAreFoundOnTheFirstScreen requires that the first screen shows the
// line that a person has to look at.
func TestFaultsAreFoundOnTheFirstScreen(t *testing.T) {
	withoutRace(t)
	for _, name := range diagnosed(t, "faults") {
		t.Run(name, func(t *testing.T) {
			if why := stack.CannotRead(); name == "lostReply" && why != "" {
				t.Skip("what leads to a wait is not searched: " + why)
			}
			requireFound(t, (*child).screenOfTheManhole, name)
		})
	}
}

// TestFaultsAreFoundInALargeProgram is about programs that are not stopped for the
// identity of each goroutine. Where it cannot be read without a stop, a missed wakeup is
// not found, and a dead downstream only if the program does little else.
func TestFaultsAreFoundInALargeProgram(t *testing.T) {
	withoutRace(t)
	names := diagnosed(t, "faults")
	if stack.CannotRead() != "" {
		names = []string{
			"channelLeak", "channelLeak2", "lockConvoy", "lockConvoy2", "deadlock", "deadlock2", "spin", "spin2",
			"mapGrows", "memoryLimit", "descriptors", "stuckLog", "stuckLog2",
		}
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) { requireFound(t, (*child).screenOfTheManhole, name, crowd) })
	}
}

// TestNothingStandsOutInHealthyPrograms requires that the first screen sends
// nobody the wrong way.
func TestNothingStandsOutInHealthyPrograms(t *testing.T) {
	withoutRace(t)
	for _, name := range diagnosed(t, "healthy") {
		t.Run(name, func(t *testing.T) {
			requireNothingStandsOut(t, (*child).screenOfTheManhole, name)
			if name != "keepalive" { // which is large already
				requireNothingStandsOut(t, (*child).screenOfTheManhole, name, crowd)
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
				lines = append(lines, fmt.Sprintf("  integration/%s:%d", file, n))
			}
		}
	}
	require.NotEmpty(t, lines, "no line is marked GUILTY %s", name)
	return lines
}

// screenOf returns the first screen of a program.
type screenOf func(*child, *testing.T) string

// firstScreen starts a program of ./diagnosed and returns its first screen, from look, and
// what testwait.CPUOf says of the program meanwhile.
func firstScreen(t *testing.T, look screenOf, name string, flags ...string) (screen string, share float64) {
	t.Helper()
	cmd := exec.Command(plain(t, "./diagnosed"), append(flags, name)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	path := t.TempDir() + "/s"
	cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
	c := start(t, cmd, "ready")
	defer c.end(t)
	c.path = path
	cpu := testwait.CPUOf(c.Process.Pid)
	screen = look(c, t)
	return screen, cpu()
}

// screenOfTheManhole returns the first screen of a session.
func (c *child) screenOfTheManhole(t *testing.T) string {
	t.Helper()
	return conversation{c.visit(t), t}.until(">>> ")
}

// end ends a program, so that it uses no CPU any more.
func (c *child) end(t *testing.T) {
	t.Helper()
	c.signal(t, syscall.SIGKILL)
	c.AwaitEnd(t)
}

// requireFound requires that the first screen shows a guilty line. While other
// tests keep the CPUs busy, a look may find a spinning goroutine off its CPU, where
// it works for the garbage collector, or may see a program that spins get a tenth of
// a CPU. So there are more tries, as for a person who looks again.
func requireFound(t *testing.T, look screenOf, name string, flags ...string) {
	t.Helper()
	guilty := guiltyLines(t, name)
	var screen string
	testwait.Looks(t, func() (found bool, share float64) {
		screen, share = firstScreen(t, look, name, flags...)
		if !strings.Contains(screen, "What stands out:") {
			return false, share
		}
		lines := strings.Split(screen, "\n")
		require.LessOrEqual(t, len(lines), rows, "all of it is visible: %s", screen)
		for _, line := range lines {
			require.LessOrEqual(t, len(line), columns, line)
		}
		return slices.ContainsFunc(guilty, func(line string) bool { return strings.Contains(screen, line+"\n") }), share
	}, "none of %v stands out in\n%s", guilty, lazily(&screen))
}

// requireNothingStandsOut requires a first screen without findings. While other
// tests keep the CPUs busy, the program may make no progress between the looks, and
// seem to be stuck. So there are three tries here too.
func requireNothingStandsOut(t *testing.T, look screenOf, name string, flags ...string) {
	t.Helper()
	var screen string
	testwait.ThreeLooks(t, func() (bool, float64) {
		var share float64
		screen, share = firstScreen(t, look, name, flags...)
		require.Contains(t, screen, "by identical stacks")
		return strings.Contains(screen, "\nNothing stands out. That proves nothing: "), share
	}, "something stands out: %.4000s", lazily(&screen))
}
