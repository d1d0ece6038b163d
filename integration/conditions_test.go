//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Conditions of the program. The manhole opens whatever the program does.

// serves runs two sessions. The second one runs stacks, mem and the given line, and
// its output must contain the given texts. Afterwards the program is alive, and
// neither session has left a file or a descriptor.
func (c *child) serves(t *testing.T, line string, finds ...string) string {
	t.Helper()
	require.Contains(t, c.session(t, "exit\n"), "help lists the commands")
	c.leftNothing(t)
	// After a session, so that the descriptors of the runtime's poller are counted. Its
	// own connection may be counted too.
	before := c.descriptors(t)
	out := c.session(t, "stacks\nmem\n"+line+"\n")
	for _, text := range append([]string{"by identical stacks", "heap in use", "settings "}, finds...) {
		require.Contains(t, out, text)
	}
	require.Equal(t, 4, strings.Count(out, ">>> "), "each line is answered: %s", out)
	c.leftNothing(t)
	var now int
	eventually(t, func() bool {
		now = c.descriptors(t)
		return now <= before
	}, "descriptors are left: %d before, now %s", before, lazily(&now))
	return out
}

// leftNothing requires that the program runs and that there is no file at its path,
// nor a temporary one.
func (c *child) leftNothing(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(c.path + "*")
	require.NoError(t, err)
	require.Empty(t, left)
	select {
	case <-c.Ended:
		require.FailNow(t, "the program has ended", "%v: %s", c.ProcessState, c.stderr)
	default:
	}
}

// descriptors returns the number of the program's open descriptors.
func (c *child) descriptors(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.Process.Pid))
	require.NoError(t, err)
	return len(fds)
}

// logs waits until the program has logged all texts.
func (c *child) logs(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		eventually(t, func() bool { return strings.Contains(c.stderr.String(), text) }, "%q is not logged: %s", text, c.stderr)
	}
}

func TestEveryGoroutineIsDeadlocked(t *testing.T) {
	t.Parallel()
	c := startIn(t, "deadlocked")
	require.Contains(t, c.session(t, "stacks\n"), "select (no cases)")
	startIn(t, "deadlocked-on-locks").serves(t, "gc", "sync.Mutex.Lock", "chan receive", "collected in")
}

// TestEveryCPUIsBusy requires that commands are answered while the program keeps all
// CPUs busy. They may take long.
func TestEveryCPUIsBusy(t *testing.T) {
	for _, procs := range []string{"1", "2"} {
		t.Run("GOMAXPROCS "+procs, func(t *testing.T) {
			t.Setenv("GOMAXPROCS", procs)
			c := startIn(t, "spinning", "8")
			var out string
			testwait.Looks(t, func() (bool, float64) {
				share := testwait.CPUOf(c.Process.Pid)
				out = c.serves(t, "maxprocs", "main.spinning", "GOMAXPROCS is "+procs)
				return strings.Contains(out, "on CPU at every look"), share()
			}, "nothing is on CPU at every look:\n%s", lazily(&out))
		})
	}
}

// TestLogIsLocked requires that sessions work while the lock of the program's log is
// held for ever. The manhole's own records wait for that lock too.
func TestLogIsLocked(t *testing.T) {
	for _, log := range []string{"log", "slog", "handler"} {
		t.Run(log, func(t *testing.T) {
			t.Parallel()
			startIn(t, "log-locked", log).serves(t, "threads", "9 goroutines queue for a lock in log", "threads: ")
		})
	}
}

// TestMemoryLimitIsReached is about a program in which the garbage collector runs all
// the time.
func TestMemoryLimitIsReached(t *testing.T) {
	startIn(t, "memory-limit").serves(t, "memlimit", "the memory limit of 32.0 MiB is reached", "memory limit is 32.0 MiB")
}

// TestAMillionGoroutines requires that stacks knows each goroutine and does not stop the
// program for that. With a million of them that stop takes seconds.
func TestAMillionGoroutines(t *testing.T) {
	withoutRace(t)
	if free := available(t); free < 4<<10 {
		t.Skipf("needs 4 GiB of free memory, and there are %d MiB; end other programs", free)
	}
	c := startIn(t, "goroutines", "1000000")
	out := c.serves(t, "metrics /sched/pauses/total/other")
	require.Regexp(t, `1000000 \(99%\) chan receive(, .* minutes?)?\n    goroutines `, out, "they may have waited for minutes")
	require.Regexp(t, `and 999992 more\n    main\.`, out)
	require.Regexp(t, `(?m)/sched/pauses/total/other:seconds +(none yet|\d+: .*max <= [\d.]+(ns|µs|ms))$`, out)
}

// available returns the free memory in MiB.
func available(t *testing.T) int {
	t.Helper()
	info, err := os.ReadFile("/proc/meminfo")
	require.NoError(t, err)
	found := regexp.MustCompile(`MemAvailable: +(\d+) kB`).FindSubmatch(info)
	require.NotNil(t, found)
	kB, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return kB >> 10
}

func TestEveryThreadIsLocked(t *testing.T) {
	t.Parallel()
	startIn(t, "threads-locked", "300").serves(t, "threads", "300 (99%) select (no cases)")
}

// TestEveryThreadIsInC is about a program in which 200 goroutines, and main, wait in C
// functions that do not return.
func TestEveryThreadIsInC(t *testing.T) {
	t.Parallel()
	need(t, "gcc", "gcc")
	out, err := testwait.Command(t, "go", "env", "CGO_ENABLED").Output()
	require.NoError(t, err)
	if strings.TrimSpace(string(out)) != "1" {
		t.Skip("needs cgo; set CGO_ENABLED=1")
	}
	c := start(t, exec.Command(plain(t, "./cgoprogram")), "ready")
	c.serves(t, "threads", "main._Cfunc_sleep", "main._Cfunc_read", "threads: ")
}

// withInput starts a condition and returns a function that writes a line to its
// standard input. If dir is not empty, the socket is in that folder.
func withInput(t *testing.T, dir string, condition ...string) (c *child, line func(string)) {
	t.Helper()
	cmd := exec.Command(plain(t, "./program"), condition...)
	if dir != "" {
		cmd.Env = append(os.Environ(), "MANHOLE_PATH="+dir+"/manhole-%p")
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	c = start(t, cmd, "ready")
	if dir != "" {
		c.path = filepath.Join(dir, filepath.Base(c.path))
	}
	return c, func(text string) {
		t.Helper()
		_, err := fmt.Fprintln(in, text)
		require.NoError(t, err)
	}
}
