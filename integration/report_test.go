//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReports: a signal writes to the log what stands out, whatever waits for the signal.
func TestReports(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{
		"reports-receiver": syscall.SIGUSR1, "reports-wait": syscall.SIGUSR1, "reports-handle": syscall.SIGUSR1, "reports-nobody": usr2, "reports-soon": usr2,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startIn(t, name)
			began := time.Now()
			c.signal(t, sig)
			c.logs(t, "1000 at main.pile  ", "by identical stacks")
			t.Logf("%v from the signal to the report", time.Since(began))
			require.Contains(t, c.stderr.String(), `text="program, pid `)
			// At most one in ten seconds; the window still opens.
			if name == "reports-nobody" {
				c.reports(t, "nobody came within the timeout", 1)
				c.signal(t, sig)
				c.reports(t, "nobody came within the timeout", 2)
			}
			for range 5 {
				if sig != usr2 { // one of them could be late, and open another window
					c.signal(t, sig)
				}
			}
			if name == "reports-soon" { // the window is still open
				require.Contains(t, c.answers(t, c.path), "collected in")
				require.Equal(t, 1, strings.Count(c.stderr.String(), "window open"))
			} else {
				require.Contains(t, c.session(t, "exit\n"), ">>> ")
			}
			require.Equal(t, 1, strings.Count(c.stderr.String(), "oneshot: report line=1 "))
			c.leftNothing(t)
		})
	}
}

// TestAReportIsFoundInItsFile, which the variable has set.
func TestAReportIsFoundInItsFile(t *testing.T) {
	t.Parallel()
	program, dir := filepath.Join(t.TempDir(), "app"), t.TempDir()
	require.NoError(t, build(program, "../examples/auto"))
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "ONESHOT=report_on=USR1, report_dir="+dir)
	c := start(t, cmd, "counts")
	before := c.descriptors(t)
	c.signal(t, syscall.SIGUSR1)
	c.logs(t, "report written", dir)
	files, err := filepath.Glob(dir + "/*")
	require.NoError(t, err)
	require.Len(t, files, 1)
	text, err := os.ReadFile(files[0])
	require.NoError(t, err)
	require.Contains(t, string(text), "by identical stacks")
	require.Contains(t, string(text), "main.main")
	eventually(t, func() bool { return c.descriptors(t) <= before+3 }, "descriptors are left") // the runtime's poller has three
	c.signal(t, syscall.SIGTERM)
	require.Equal(t, syscall.SIGTERM, c.AwaitEnd(t).Signal())
}

// TestAReportWhereNoWindowOpens: nobody can come, so there is nothing to wait for.
func TestAReportWhereNoWindowOpens(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "folder", "s")
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	cmd := exec.Command(plain(t, "./program"), "reports-nowhere")
	cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
	c := start(t, cmd, "ready")
	require.NoError(t, os.Remove(filepath.Dir(path)))
	c.signal(t, usr2)
	c.logs(t, "no window", "create "+filepath.Dir(path), "main.pile  ", "by identical stacks")
}

// TestTheTriggerFileWritesAReport, and opens no window.
func TestTheTriggerFileWritesAReport(t *testing.T) {
	t.Parallel()
	trigger := filepath.Join(t.TempDir(), "trigger")
	cmd := exec.Command(plain(t, "./program"), "reports-trigger")
	cmd.Env = append(os.Environ(), "TRIGGER="+trigger)
	c := start(t, cmd, "ready")
	require.NoError(t, os.WriteFile(trigger, fmt.Appendf(nil, "%d report\n", c.Process.Pid), 0o600))
	c.logs(t, "names this process", "1000 at main.pile  ", "by identical stacks")
	require.NotContains(t, c.stderr.String(), "window open")
	require.NoError(t, os.WriteFile(trigger, fmt.Appendln(nil, c.Process.Pid, "else"), 0o600))
	c.logs(t, "a pid and the word report")
}

// TestAReportNamesTheTrouble: it has the cause, on standard error.
func TestAReportNamesTheTrouble(t *testing.T) {
	t.Parallel()
	causes := []string{"queue for a lock in main.sessions", "it may be held by goroutine", "main.ask  ", "main.quote.func1  ", "main.produce  "}
	c := start(t, exec.Command(plain(t, "../examples/trouble")), "everything is stuck")
	var screen string
	eventually(t, func() bool {
		screen = c.session(t, "exit\n")
		return !slices.ContainsFunc(causes, func(cause string) bool { return !strings.Contains(screen, cause) })
	}, "the first screen does not name the trouble; %s", c.stderr)
	c.signal(t, syscall.SIGUSR1)
	c.logs(t, append(causes, "by identical stacks")...) // each line is a record of its own
}

// TestAReportOnStandardError, which the variable has chosen, has whole lines.
func TestAReportOnStandardError(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(plain(t, "../examples/auto"))
	cmd.Env = append(os.Environ(), "ONESHOT=report_on=USR1, report_stderr=True, verbose=False")
	c := start(t, cmd, "counts")
	c.signal(t, syscall.SIGUSR1)
	last := regexp.MustCompile(`(?m)^oneshot: report (\d+)/(\d+)( .*)?$`)
	eventually(t, func() bool {
		all := last.FindAllStringSubmatch(c.stderr.String(), -1)
		return len(all) > 0 && all[len(all)-1][1] == all[0][2]
	}, "the report does not end: %s", c.stderr)
	require.Contains(t, c.stderr.String(), "by identical stacks")
	require.Empty(t, strings.TrimSpace(last.ReplaceAllString(c.stderr.String(), "")))
	c.signal(t, syscall.SIGTERM)
	require.Equal(t, syscall.SIGTERM, c.AwaitEnd(t).Signal())
}
