//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Conditions of the place where the socket is created.

// TestAnotherUsersFilesAtThePath is about a user who puts files of all kinds at the path
// of root's process, hundreds of times, while windows open and close there. The manhole
// moves and changes none of them but dead sockets. The log says what kept a window
// from opening.
func TestAnotherUsersFilesAtThePath(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := shortDir(t)
	require.NoError(t, os.Chmod(dir, 0o777|os.ModeSticky))
	cmd := exec.Command(plain(t, "./program"), "windows")
	cmd.Env = append(os.Environ(), "MANHOLE_PATH="+dir+"/s")
	c := start(t, cmd, "ready")
	argv := as(bob, plain(t, "./program"), "planter", dir+"/s", "600")
	planter := start(t, exec.Command(argv[0], argv[1:]...), "ready")
	require.Equal(t, 0, planter.AwaitEnd(t).ExitStatus(), planter.stderr)
	clear := regexp.MustCompile(`^[0-9]+ opened$|^oneshot: no session: ` + regexp.QuoteMeta(dir) + `/s is not a socket but a (directory|symbolic link|named pipe|regular file); remove it or set SocketPath$` +
		`|^oneshot: no session: oneshot: the socket path is in use by another socket: ` + regexp.QuoteMeta(dir) + `/s(; end its owner or set SocketPath| keeps changing)$`)
	c.logs(t, "100 opened", "directory", "symbolic link", "named pipe", "regular file", "end its owner")
	require.NoError(t, c.Process.Kill())
	c.AwaitEnd(t)
	for line := range strings.Lines(c.stderr.String()) {
		require.Regexp(t, clear, strings.TrimSpace(line))
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range left { // the killed program may have left its socket
		require.Equal(t, os.ModeSocket, entry.Type(), entry.Name())
	}
}

// in starts a condition in new namespaces, which unshare creates. The shell command
// before runs there first. The binary is in /mnt.
func in(t *testing.T, unshare, before string, condition ...string) *child {
	t.Helper()
	needRoot(t)
	flags := append(strings.Fields(unshare), "--mount")
	if out, err := testwait.Command(t, "unshare", append(flags, "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs unshare %s: %v: %s", flags, err, out)
	}
	binary := plain(t, "./program")
	script := "mount --bind " + filepath.Dir(binary) + " /mnt && " + before + ` && exec "$0" "$@"`
	argv := append(flags, "sh", "-c", script, "/mnt/"+filepath.Base(binary))
	return start(t, exec.Command("unshare", append(argv, condition...)...), "ready")
}

// inside runs a shell command in the program's mount namespace.
func (c *child) inside(t *testing.T, script string) {
	t.Helper()
	out, err := testwait.Command(t, "nsenter", "--mount", "--target", fmt.Sprint(c.Process.Pid), "sh", "-c", script).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// remountReadOnly tries for half a minute: the file system is busy until the program has
// closed the socket that it has removed.
const remountReadOnly = "i=0; until mount -o remount,ro $PWD; do i=$((i+1)); [ $i -lt 300 ] || exit 1; sleep 0.1; done"

// TestUnusableFolders makes the folder of the socket unusable while the program runs. The
// log must say so and what helps. When that is done, a window opens again.
func TestUnusableFolders(t *testing.T) {
	for _, test := range []struct {
		name, mount string   // mounts the folder; all commands have its path in $PWD
		spoil       string   // makes it unusable
		says        []string // in the log; if nil, the window opens
		mend        string   // makes it usable again
	}{
		{"removed", "", "rmdir $PWD", []string{"no such file or directory; create ", ", and try again"}, "mkdir $PWD"},
		{"a file instead", "", "rmdir $PWD; touch $PWD", []string{"not a directory"}, "rm $PWD; mkdir $PWD"},
		{"read-only", "mount -t tmpfs none $PWD", remountReadOnly, []string{"read-only file system; make ", " writable, and try again"}, "mount -o remount,rw $PWD"},
		{"no inodes", "mount -t tmpfs -o nr_inodes=10 none $PWD", "cd $PWD; i=0; while touch f$i; do i=$((i+1)); done; true",
			[]string{"no space left on device; make room in ", "(df -i ", ", and try again"}, "rm $PWD/f*"},
		{"no blocks", "mount -t tmpfs -o size=16k none $PWD", "dd if=/dev/zero of=$PWD/f bs=1k count=64; true", nil, "rm $PWD/f"},
		{"noexec", "mount -t tmpfs -o noexec,nosuid,nodev none $PWD", "true", nil, "true"},
		{"no sticky bit", "chmod 0777 $PWD", "true", nil, "true"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(shortDir(t), "d")
			require.NoError(t, os.Mkdir(dir, 0o755))
			set := "PWD=" + dir + "; "
			mount := "true"
			if test.mount != "" {
				mount = test.mount
			}
			c := in(t, "", set+mount+" && export MANHOLE_PATH="+dir+"/s", "deadlocked")
			c.path = fmt.Sprintf("/proc/%d/root%s/s", c.Process.Pid, dir)
			require.Contains(t, c.session(t, "exit\n"), ">>> ")
			c.inside(t, set+test.spoil)
			if test.says != nil {
				c.signal(t, usr2)
				c.logs(t, append([]string{"no window", "path=" + dir + "/s"}, test.says...)...)
			} else {
				c.serves(t, "gc", "collected in")
			}
			if test.name == "no sticky bit" {
				c.logs(t, "another user can put a socket in place of the manhole's", "chmod +t "+dir)
			}
			c.inside(t, set+test.mend)
			c.serves(t, "gc", "collected in")
		})
	}
}

// TestOutputFileOnAFullDisk requires that a command removes the empty file that it could
// not write.
func TestOutputFileOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	c := in(t, "", "mount -t tmpfs -o size=16k none "+dir+" && dd if=/dev/zero of="+dir+"/f bs=1k count=64 2>/dev/null; export MANHOLE_PATH="+dir+"/s", "deadlocked")
	root := fmt.Sprintf("/proc/%d/root%s", c.Process.Pid, dir)
	c.path = root + "/s"
	c.serves(t, "profile goroutine -o "+dir+"/p", "no space left on device")
	require.NoFileExists(t, root+"/p")
}

// TestWithoutProc requires that commands that read /proc say what is missing, and that
// all others work.
func TestWithoutProc(t *testing.T) {
	t.Parallel()
	c := in(t, "", "umount -l /proc", "deadlocked")
	c.open(t)
	conn := c.dial(t)
	require.Contains(t, conn.until(">>> "), "select (no cases)")
	require.NoFileExists(t, c.path)
	for _, row := range []struct{ command, says string }{
		{"stacks", "by identical stacks"},
		{"mem", "heap in use"},
		{"gc", "collected in"},
		{"metrics /sched/gomaxprocs", "threads"},
		{"env HOME", os.Getenv("HOME")},
		{"build", "integration/program"},
		{"threads", "threads: open /proc/self/task: no such file or directory"},
		{"fds", "fds: open /proc/self/fd: no such file or directory"},
		{"signals", "the masks are read from /proc, which is not there"},
		{"proc", "proc: open /proc/self: no such file or directory"},
	} {
		conn.says(row.command, row.says)
	}
	require.NoError(t, conn.Close())
	c.serves(t, "build", "integration/program")
}

// TestSystemCallsAreRefused is about a program that may not call memfd_create and inotify.
// Without memfd_create there is no notice in /proc/PID/maps, which only the command
// oneshot looks for. Without inotify there is no trigger file.
func TestSystemCallsAreRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ errno, says string }{
		{"EPERM", "operation not permitted"},
		{"ENOSYS", "function not implemented"},
	} {
		c := startIn(t, "refused", row.errno, "")
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", c.Process.Pid))
		require.NoError(t, err)
		require.NotContains(t, string(maps), "oneshot:v1")
		c.serves(t, "gc", "collected in")

		file := filepath.Join(t.TempDir(), "trigger")
		out, err := testwait.Command(t, plain(t, "./program"), "refused", row.errno, file).CombinedOutput()
		require.Error(t, err)
		require.Equal(t, "oneshot: TriggerFile "+file+" cannot be watched: inotify_init1: "+row.says+
			"; allow the system call (seccomp) or leave TriggerFile out and use a signal\n", string(out))
	}
}
