//go:build linux

package integration

import (
	"fmt"
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

// TestAPidNamespace is about a program that is process 1 of a pid namespace. Its client is
// outside and has no pid inside. The command oneshot finds such a socket by itself; see
// TestAProcessInAContainer in cmd/oneshot.
func TestAPidNamespace(t *testing.T) {
	t.Parallel()
	c := in(t, "--pid --fork --kill-child --mount-proc", "mount -t tmpfs none /tmp", "deadlocked")
	task := fmt.Sprintf("/proc/%d/task/%d/children", c.Process.Pid, c.Process.Pid)
	children, err := os.ReadFile(task)
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(children)))
	require.NoError(t, err)
	c.path = fmt.Sprintf("/proc/%d/root/tmp/manhole-1", pid)
	for range 2 {
		require.NoError(t, syscall.Kill(pid, usr2))
		eventually(t, func() bool { _, err := os.Lstat(c.path); return err == nil }, "no window: %s", c.stderr)
		conn := c.dial(t)
		require.Contains(t, conn.until("help lists the commands"), "program, pid 1,")
		conn.until(">>> ")
		conn.says("stacks", "select (no cases)")
		conn.says("mem", "heap in use")
		conn.says("sessions", "a process of another pid namespace, uid 0") // the kernel reports 0 for a process outside
		c.leftNothing(t)
		require.NoError(t, conn.Close())
	}
	c.logs(t, "path=/tmp/manhole-1", "session open")
}

// TestAUserNamespace is about a program that is root inside a user namespace. Its own user
// outside may enter. Users that the namespace does not map may not, not even root.
func TestAUserNamespace(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "nc", "netcat-openbsd")
	mapped := as(alice, "unshare", "--user", "--map-root-user")
	if out, err := testwait.Command(t, mapped[0], append(mapped[1:], "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs user namespaces for every user: %v: %s", err, out)
	}
	c := start(t, exec.Command(mapped[0], append(mapped[1:], plain(t, "./program"), "deadlocked")...), "ready")
	c.open(t)
	const unmapped = "oneshot: refused: uid 65534 stands for every user that this user namespace does not map"
	require.Contains(t, nc(t, 0, c.path, "stacks\n"), unmapped)
	c.logs(t, "client refused", "uid=65534")
	require.FileExists(t, c.path) // its window is still open
	out := nc(t, alice, c.path, "stacks\nmem\ngc\n")
	for _, text := range []string{"uid 0; help", "select (no cases)", "heap in use", "collected in"} {
		require.Contains(t, out, text)
	}
	c.leftNothing(t)
}

// TestAChangedRoot is about a program whose root has its own /tmp and no /proc.
func TestAChangedRoot(t *testing.T) {
	t.Parallel()
	needRoot(t)
	root := shortDir(t)
	program, err := os.ReadFile(plain(t, "./program"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "program"), program, 0o755))
	cmd := exec.Command("/program", "deadlocked")
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	require.NoError(t, cmd.Err)
	without := testwait.Command(t, "/program", "deadlocked")
	without.Dir, without.SysProcAttr = cmd.Dir, cmd.SysProcAttr
	without.Env = append(os.Environ(), "MANHOLE_PATH=/tmp/own-%p") // the default would be another path
	out, err := without.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "the directory of SocketPath /tmp/own-")
	require.Contains(t, string(out), "no such file or directory; create it or set SocketPath")

	require.NoError(t, os.Mkdir(filepath.Join(root, "tmp"), 0o755))
	c := start(t, cmd, "ready")
	c.path = root + c.path
	c.serves(t, "gc", "select (no cases)", "collected in")
}
