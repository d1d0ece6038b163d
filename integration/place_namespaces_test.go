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

// TestAPidNamespace: the program is process 1 there, and its client, who is
// outside, has no pid that it could see. The client oneshot finds the way by
// itself (TestAProcessInAContainer in cmd/oneshot).
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
		conn.says("sessions", "pid 0, uid 0") // the kernel has no name there for who is outside
		c.leftNothing(t)
		require.NoError(t, conn.Close())
	}
	c.logs(t, "path=/tmp/manhole-1", "session open")
}

// TestAUserNamespace: the program seems to be root there. Who is the same user
// outside enters; whom the namespace does not map, be it root, does not.
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

// TestAChangedRoot: /tmp is that of the program's root, and there is no /proc.
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
	c := &child{Cmd: testwait.Command(t, "/program", "deadlocked"), stderr: &testwait.Buffer{}}
	c.Dir, c.SysProcAttr, c.Stderr = "/", &syscall.SysProcAttr{Chroot: root}, c.stderr
	require.Error(t, c.Run())
	require.Contains(t, c.stderr.String(), "the directory of SocketPath /tmp/manhole-")
	require.Contains(t, c.stderr.String(), "no such file or directory; create it or set SocketPath")

	require.NoError(t, os.Mkdir(filepath.Join(root, "tmp"), 0o755))
	c = start(t, cmd, "ready")
	c.path = root + c.path
	c.serves(t, "gc", "select (no cases)", "collected in")
}
