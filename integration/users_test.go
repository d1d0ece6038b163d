//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Two users that need not exist, and the user that the kernel reports for all users that a
// namespace does not map.
const (
	alice  = 12345
	bob    = 12346
	nobody = 65534
)

// nc connects as a user, sends input and returns the output and nc's error.
func nc(t *testing.T, uid int, path, input string) string {
	t.Helper()
	argv := as(uid, "nc", "-N", "-U", path)
	cmd := testwait.Command(t, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	return fmt.Sprintf("%s%v", out, err)
}

func TestUsers(t *testing.T) {
	needRoot(t)
	need(t, "nc", "netcat-openbsd")
	const refused, notEven = "oneshot: refused: uid", "Permission denied"
	for _, test := range []struct {
		name           string
		server, client int
		mode           os.FileMode // of the socket, which somebody may have changed
		answer         string
	}{
		{"root enters anybody's", alice, 0, 0o600, ">>> "},
		{"alice enters her own", alice, alice, 0o600, ">>> "},
		{"bob cannot even connect to hers", alice, bob, 0o600, notEven},
		{"bob is refused where the mode lets him", alice, bob, 0o666, refused},
		{"alice is refused by root's", 0, alice, 0o666, refused},
		{"root enters its own", 0, 0, 0o600, ">>> "},
		{"nobody enters its own, since this namespace maps every user", nobody, nobody, 0o600, ">>> "},
		{"root enters nobody's", nobody, 0, 0o600, ">>> "},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := startServer(t, as(test.server)...)
			c.open(t)
			info, err := os.Lstat(c.path)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600)|os.ModeSocket, info.Mode())
			require.NoError(t, os.Chmod(c.path, test.mode))
			out := nc(t, test.client, c.path, "exit\n")
			require.Contains(t, out, test.answer)
			if test.answer == ">>> " {
				require.Contains(t, out, fmt.Sprintf("uid %d; help", test.client))
				require.NoFileExists(t, c.path)
				return
			}
			require.NotContains(t, out, "goroutines", "the client must not see anything")
			if test.answer == refused {
				eventually(t, func() bool { return strings.Contains(c.stderr.String(), "client refused") }, "not logged: %s", c.stderr)
				require.Contains(t, c.stderr.String(), fmt.Sprintf("uid=%d", test.client))
			}
			// The window is still open.
			require.Contains(t, nc(t, 0, c.path, "exit\n"), ">>> ")
		})
	}
}

// TestAUserInNamespacesOfHisOwn is root in them, or has the uid of the program. The kernel
// says who he is outside.
func TestAUserInNamespacesOfHisOwn(t *testing.T) {
	needRoot(t)
	need(t, "nc", "netcat-openbsd")
	c := startServer(t, as(alice)...)
	c.open(t)
	require.NoError(t, os.Chmod(c.path, 0o666))
	for _, namespaces := range []string{
		"unshare --user --map-root-user", "unshare --user", fmt.Sprintf("unshare --user --map-user=%d", alice),
		"unshare --user --map-root-user unshare --user", "unshare --user --map-root-user --ipc --uts --mount --pid --fork",
	} {
		argv := as(bob, append(strings.Fields(namespaces), "nc", "-N", "-U", c.path)...)
		cmd := testwait.Command(t, argv[0], argv[1:]...)
		cmd.Stdin = strings.NewReader("stacks\n")
		out, err := cmd.CombinedOutput()
		if strings.HasPrefix(string(out), "unshare:") {
			t.Skipf("needs user namespaces for every user: %v: %s", err, out)
		}
		require.Equal(t, fmt.Sprintf("oneshot: refused: uid %d is neither the process's uid %d nor root\n", bob, alice), string(out), namespaces)
	}
	require.Contains(t, nc(t, alice, c.path, "exit\n"), ">>> ")
}

// TestAPlantedPathIsNotFollowed is about a file that another user has put at the path before,
// in a directory with the sticky bit.
func TestAPlantedPathIsNotFollowed(t *testing.T) {
	needRoot(t)
	need(t, "nc", "netcat-openbsd")
	for _, test := range []struct{ name, plant, says string }{
		{"a live socket", "exec nc -l -U %s", "somebody else"},
		{"a dead socket", "timeout 0.1 nc -l -U %s", "somebody else"},
		{"a link", "ln -s /etc/passwd %s", "symbolic link"},
		{"a file", "touch %s", "regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := startServer(t, as(alice)...)
			argv := as(bob, "sh", "-c", fmt.Sprintf(test.plant, c.path))
			plant := testwait.Command(t, argv[0], argv[1:]...)
			require.NoError(t, plant.Start())
			defer func() {
				_ = plant.Process.Kill()
				_ = plant.Wait() // most have been waited for already
			}()
			if test.name != "a live socket" {
				_ = plant.Wait() // an error: timeout exits with status 124
			}
			eventually(t, func() bool { _, err := os.Lstat(c.path); return err == nil }, "nothing planted")
			defer os.Remove(c.path)
			before, err := os.Lstat(c.path)
			require.NoError(t, err)
			require.NoError(t, c.Process.Signal(usr2))
			eventually(t, func() bool { return strings.Contains(c.stderr.String(), "no window") }, "not logged: %s", c.stderr)
			require.Contains(t, c.stderr.String(), c.path)
			require.Contains(t, c.stderr.String(), test.says)
			after, err := os.Lstat(c.path)
			require.NoError(t, err)
			require.True(t, os.SameFile(before, after))
		})
	}
}

func TestADirectoryWithoutPermission(t *testing.T) {
	needRoot(t)
	dir := t.TempDir() // it belongs to root, with mode 0755
	argv := as(alice, server, "-socket", dir+"/s")
	c := start(t, exec.Command(argv[0], argv[1:]...), "serving")
	c.logs(t, "no manhole", dir, "permission denied", "set SocketPath")
}

// TestAReplacedSocketIsLeftAlone is about a directory where everybody may write. Another user
// can move the socket away and put a file there, and the manhole must not remove it.
func TestAReplacedSocketIsLeftAlone(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o777))
	argv := as(alice, server, "-socket", dir+"/s")
	c := start(t, exec.Command(argv[0], argv[1:]...), "nc -U")
	c.path = dir + "/s"
	eventually(t, func() bool { return strings.Contains(c.stderr.String(), "sticky bit") }, "no warning: %s", c.stderr)
	c.open(t)
	argv = as(bob, "sh", "-c", "mv $0/s $0/away && echo precious >$0/s", dir)
	out, err := testwait.Command(t, argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	c.signal(t, syscall.SIGTERM)
	require.Equal(t, 0, c.AwaitEnd(t).ExitStatus())
	text, err := os.ReadFile(c.path)
	require.NoError(t, err)
	require.Equal(t, "precious\n", string(text))
}

// TestAReadOnlyTmp is about a /tmp that is read-only. At the start Install returns an error
// that says so, if the program has set the path. Later no window opens until the file system is writable again.
func TestAReadOnlyTmp(t *testing.T) {
	needRoot(t)
	need(t, "unshare", "util-linux")
	if out, err := testwait.Command(t, "unshare", "--mount", "true").CombinedOutput(); err != nil {
		t.Skipf("needs mount namespaces: %v: %s", err, out)
	}
	// The new /tmp covers the one with the server's binary, so that is mounted at /mnt.
	const cover = "mount --bind $(dirname $0) /mnt && mount -t tmpfs -o "
	c := start(t, exec.Command("unshare", "--mount", "sh", "-c", cover+"ro none /tmp && exec /mnt/server -socket /tmp/own", server), "serving")
	c.logs(t, "no manhole", "/tmp", "read-only file system", "set SocketPath")

	c = start(t, exec.Command("unshare", "--mount", "sh", "-c", cover+"rw none /tmp && exec /mnt/server", server), "nc -U")
	remount := func(how string) {
		t.Helper()
		var out []byte
		eventually(t, func() (done bool) { // busy while the program closes the socket that it has removed
			var err error
			out, err = testwait.Command(t, "nsenter", "--mount", "--target", fmt.Sprint(c.Process.Pid), "mount", "-o", "remount,"+how, "/tmp").CombinedOutput()
			return err == nil || !strings.Contains(string(out), "busy")
		}, "/tmp stays busy: %s", c.stderr)
		require.Empty(t, string(out))
	}
	c.path = fmt.Sprintf("/proc/%d/root%s", c.Process.Pid, c.path)
	require.Contains(t, c.session(t, "exit\n"), ">>> ")
	remount("ro")
	c.signal(t, usr2)
	eventually(t, func() bool { return strings.Contains(c.stderr.String(), "read-only file system") }, "not logged: %s", c.stderr)
	require.Contains(t, c.stderr.String(), "no window")
	remount("rw")
	require.Contains(t, c.session(t, "exit\n"), ">>> ")
}
