//go:build linux

package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// TestClientsFromAShell runs the commands of README, twice. On a machine without a free
// CPU for half a second, it types them again.
func TestClientsFromAShell(t *testing.T) {
	for _, test := range []struct{ program, debianPackage, client string }{
		{"nc", "netcat-openbsd", "nc -U %s"},
		{"nc", "netcat-openbsd", "nc -N -U %s"},
		{"socat", "socat", "socat - UNIX-CONNECT:%s"},
	} {
		t.Run(test.client[:len(test.client)-3], func(t *testing.T) {
			need(t, test.program, test.debianPackage)
			c := startServer(t)
			for range 2 {
				line := fmt.Sprintf("kill -USR2 %d; for i in 1 2 3 4 5; do "+test.client+" && break; sleep .1; done", c.Process.Pid, c.path)
				var out []byte
				eventually(t, func() bool {
					sh := testwait.Command(t, "sh", "-c", line)
					sh.Stdin = strings.NewReader("gc\nexit\n")
					var err error
					out, err = sh.CombinedOutput()
					return err == nil && strings.Contains(string(out), ">>> ")
				}, "%s: no answer; %s", line, c.stderr)
				require.Contains(t, string(out), "main.run.func1", "the stack that serves HTTP")
				require.Contains(t, string(out), ">>> collected in")
				eventually(t, func() bool { _, err := os.Lstat(c.path); return errors.Is(err, os.ErrNotExist) }, "the socket stays")
			}
		})
	}
}

// TestATerminal types commands into nc in a real terminal.
func TestATerminal(t *testing.T) {
	need(t, "nc", "netcat-openbsd")
	need(t, "tmux", "tmux")
	c := startServer(t)
	term := &terminal{t: t, socket: t.TempDir() + "/tmux"}
	tmux := term.tmux
	t.Cleanup(term.kill)
	tmux("new-session", "-d", "-x", "120", "-y", "100", "sh")
	shows := func(text string) {
		t.Helper()
		var shown string
		eventually(t, func() bool {
			shown = tmux("capture-pane", "-p")
			return strings.Contains(shown, text)
		}, "%q is not shown, but\n%s", text, lazily(&shown))
	}
	c.open(t)
	tmux("send-keys", "nc -U "+c.path, "Enter")
	shows("by identical stacks")
	shows("\n>>>")
	tmux("send-keys", "nonsense", "Enter")
	shows(`no command "nonsense"; help lists them`)
	tmux("send-keys", "help", "Enter")
	shows("Ctrl-C stops a running command")
	tmux("send-keys", "exit", "Enter")
	eventually(t, func() bool { // otherwise nc would read the next line
		return strings.TrimSpace(tmux("display-message", "-p", "#{pane_current_command}")) == "sh"
	}, "nc does not end")
	tmux("send-keys", "echo status $?", "Enter")
	shows("status 0")
	require.NoFileExists(t, c.path)
}

// TestSocketOfAKilledProgramIsReplaced requires that the next window replaces the dead
// socket. SIGKILL leaves a program no time to remove it.
func TestSocketOfAKilledProgramIsReplaced(t *testing.T) {
	path := t.TempDir() + "/s"
	for range 3 {
		c := startTerminating(t, "receiver", path)
		c.signal(t, syscall.SIGUSR2)
		eventually(t, func() bool { return strings.Contains(c.stderr.String(), "window open") }, "no window: %s", c.stderr)
		c.signal(t, syscall.SIGKILL)
		require.Equal(t, syscall.SIGKILL, c.AwaitEnd(t).Signal())
		require.FileExists(t, path)
	}
	c := startTerminating(t, "receiver", path)
	require.Contains(t, c.session(t, "exit\n"), ">>> ")
	require.NoFileExists(t, path)
}

// startTerminating starts ./program in the condition terminating, with its socket at
// path. The program handles SIGTERM itself. receiver is the argument of the condition.
func startTerminating(t *testing.T, receiver, path string) *child {
	t.Helper()
	cmd := exec.Command(plain(t, "./program"), "terminating", receiver)
	cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
	c := start(t, cmd, "ready")
	c.path = path
	return c
}
