//go:build linux

package integration

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// withCapabilities copies a binary to where every user may run it, and gives the copy
// file capabilities. The text is setcap's.
func withCapabilities(t *testing.T, binary, text string) string {
	t.Helper()
	need(t, "setcap", "libcap2-bin")
	dir := shortDir(t)
	require.NoError(t, os.Chmod(dir, 0o755))
	from, err := os.Open(binary)
	require.NoError(t, err)
	defer from.Close()
	file := filepath.Join(dir, filepath.Base(binary))
	to, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(to, from)
	require.NoError(t, err)
	require.NoError(t, to.Close())
	if text != "" {
		out, err := testwait.Command(t, "setcap", text, file).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	return file
}

// TestAProgramThatMayDoMoreThanItsUser lets in root, and its user only if what it may do
// more gives him nothing.
func TestAProgramThatMayDoMoreThanItsUser(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "nc", "netcat-openbsd")
	for _, test := range []struct{ name, caps, condition, reason string }{
		{"it may bind ports", "cap_net_bind_service=+ep", "deadlocked", ""},
		{"it may write everywhere", "cap_dac_override=+ep", "deadlocked", "it has CAP_DAC_OVERRIDE"},
		{"it may not be traced", "", "undumpable", "its user may not trace it (PR_SET_DUMPABLE)"},
		{"the program decides", "cap_dac_override=+ep", "authorizes", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			argv := as(alice, withCapabilities(t, plain(t, "./program"), test.caps), test.condition)
			c := start(t, exec.Command(argv[0], argv[1:]...), "ready")
			c.open(t)
			out := nc(t, alice, c.path, "exit\n")
			if test.reason == "" {
				require.Contains(t, out, ">>> ")
				require.NotContains(t, c.stderr.String(), "only root")
				return
			}
			require.Equal(t, "oneshot: refused: only root may enter this process: "+test.reason+"; connect as root\n<nil>", out)
			c.logs(t, "only root may enter, since the process may do more than its user", "client refused", test.reason)
			require.Contains(t, nc(t, 0, c.path, "exit\n"), ">>> ")

			// The client does not try again, since each refusal is logged.
			refusals := func() int { return strings.Count(c.stderr.String(), "client refused") }
			before := refusals()
			out, errs, status := oneshotAs(t, as(alice), "-2", strconv.Itoa(c.Process.Pid))
			require.Equal(t, 1, status, out)
			require.Contains(t, errs, "oneshot: refused: only root may enter this process: "+test.reason+"; connect as root\n")
			eventually(t, func() bool { return refusals() > before }, "it is not logged: %s", c.stderr)
			require.Equal(t, before+1, refusals(), c.stderr)
		})
	}
}

// TestTheVariableOfAProgramWithMoreRights is not heeded: whoever starts the program could
// make it create files that he may not.
func TestTheVariableOfAProgramWithMoreRights(t *testing.T) {
	t.Parallel()
	needRoot(t)
	program := filepath.Join(t.TempDir(), "app")
	require.NoError(t, build(program, "../examples/auto"))
	forbidden := filepath.Join(shortDir(t), "trigger")
	argv := as(alice, withCapabilities(t, program, "cap_dac_override=+ep"))
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "ONESHOT=trigger_file="+forbidden)
	c := start(t, cmd, "counts")
	c.logs(t, "oneshot: ONESHOT is not heeded in a program that has more rights than its caller")
	require.NoFileExists(t, forbidden)
	c.signal(t, usr2)
	c.signal(t, syscall.SIGTERM)
	require.Equal(t, syscall.SIGTERM, c.AwaitEnd(t).Signal())
	require.NoFileExists(t, c.path)
}

// TestTheEnvironmentForbidsTheManhole also to a program that calls Install.
func TestTheEnvironmentForbidsTheManhole(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "app")
	require.NoError(t, build(program, "../examples/auto"))
	installs, imports := stepCommand(t, "install"), exec.Command(program)
	installs.Env, imports.Env = append(os.Environ(), "ONESHOT=off"), append(os.Environ(), "ONESHOT=off")
	for _, c := range []*child{startStepCommand(t, installs).child, start(t, imports, "counts")} {
		c.logs(t, "no manhole, because the environment forbids it", "ONESHOT=off")
		c.signal(t, usr2)
		c.signal(t, syscall.SIGTERM)
		require.Equal(t, syscall.SIGTERM, c.AwaitEnd(t).Signal())
		require.NoFileExists(t, c.path)
		require.NotContains(t, c.stderr.String(), "window")
	}
}
