//go:build linux

package integration

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// oneshotAs runs the client, behind the words of another command.
func oneshotAs(t *testing.T, before []string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	argv := append(append(before[:len(before):len(before)], plain(t, "../cmd/oneshot")), args...)
	cmd := testwait.Command(t, argv[0], argv[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the status says it
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// suggested returns the command of the client that an error names: its arguments, and the
// words before it.
func suggested(t *testing.T, stderr string, before []string) (words, args []string) {
	t.Helper()
	command := commandOf(t, stderr)
	client := slices.Index(command, "oneshot")
	return append(before[:len(before):len(before)], command[:client]...), command[client+1:]
}

// withoutPtrace is root in a container: without CAP_SYS_PTRACE.
var withoutPtrace = []string{"setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace", "--"}

// TestFirstContact is about processes of which the client may read the status only. It
// works, or names the command that does. It says what it could not check.
func TestFirstContact(t *testing.T) {
	t.Parallel()
	needRoot(t)
	const nonroot = 65532 // of distroless images
	otherFiles := []string{"unshare", "--mount", "sh", "-c", "mount --bind $(dirname $0) /mnt && mount -t tmpfs -o mode=1777 none /tmp && " +
		"exec setpriv --reuid 65532 --regid 65532 --clear-groups /mnt/$(basename $0) $1"}
	for _, test := range []struct {
		name    string
		server  []string // the words before the program
		caps    string   // of the program's file
		client  []string
		steps   int  // how often the client names another command, before it works
		limited bool // the client may read the status only
	}{
		{"nobody and nobody", as(nobody), "", as(nobody), 0, false},
		{"a program that may bind ports", as(alice), "cap_net_bind_service=+ep", as(alice), 1, true},
		{"root without CAP_SYS_PTRACE", as(nonroot), "", withoutPtrace, 1, false},
		{"root without CAP_SYS_PTRACE, and other files", otherFiles, "", withoutPtrace, 1, false},
		{"root, and other files", otherFiles, "", []string{"env"}, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			program := plain(t, "./program")
			if test.caps != "" {
				program = withCapabilities(t, program, test.caps)
			}
			c := start(t, exec.Command(test.server[0], append(test.server[1:], program, "deadlocked")...), "ready")
			words, args := test.client, []string{strconv.Itoa(c.Process.Pid)}
			for range test.steps {
				out, errs, status := oneshotAs(t, words, append([]string{"-t", "1"}, append(args, "mem")...)...)
				require.NotZero(t, status)
				require.Empty(t, out)
				require.Contains(t, errs, fmt.Sprintf("not permitted to read /proc/%d/exe", c.Process.Pid))
				words, args = suggested(t, errs, words)
			}
			out, errs, status := oneshotAs(t, words, append(args, "mem")...)
			require.Zero(t, status, "%q %q: %s", words, args, errs)
			require.Contains(t, out, "heap in use")
			const unchecked = "not checked that it is a Go program with a manhole"
			if test.limited {
				require.Contains(t, errs, unchecked)
				// The same with a path, and without a signal while a window is open.
				out, errs, status = oneshotAs(t, words, "-2", c.path, "mem")
				require.Zero(t, status, errs)
				require.Contains(t, out, "heap in use")
				c.open(t)
				out, errs, status = oneshotAs(t, words, strconv.Itoa(c.Process.Pid), "mem")
				require.Zero(t, status, errs)
				require.Contains(t, out, "heap in use")
				// It sends nothing that would end a Go program.
				_, errs, status = oneshotAs(t, words, "-s", "HUP", strconv.Itoa(c.Process.Pid), "mem")
				require.NotZero(t, status)
				require.Contains(t, errs, "is perhaps a Go program, which SIGHUP may end; nothing was sent")
			} else {
				require.NotContains(t, errs, unchecked)
			}
			c.leftNothing(t)
		})
	}
}

// TestAPlantedSocketAtADefaultPath of a process whose notice cannot be read: the client
// goes on to the process's own, and says nothing to the other.
func TestAPlantedSocketAtADefaultPath(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "nc", "netcat-openbsd")
	c := start(t, exec.Command(as(alice)[0], append(as(alice)[1:], withCapabilities(t, plain(t, "./program"), "cap_net_bind_service=+ep"), "deadlocked")...), "ready")
	planted := fmt.Sprintf("/dev/shm/manhole-%d", c.Process.Pid)
	trap := start(t, exec.Command(as(bob)[0], append(as(bob)[1:], "sh", "-c", "umask 0; echo ready; exec nc -k -l -U "+planted)...), "ready")
	t.Cleanup(func() { _ = os.Remove(planted) })
	eventually(t, func() bool { _, err := os.Lstat(planted); return err == nil }, "nothing is planted")
	out, errs, status := oneshotAs(t, as(alice), "-2", strconv.Itoa(c.Process.Pid), "mem")
	require.Zero(t, status, errs)
	require.Contains(t, out, "heap in use")
	// Without a window, it reports the other one.
	_, errs, status = oneshotAs(t, as(alice), "-n", "-t", "0.2", strconv.Itoa(c.Process.Pid), "mem")
	require.NotZero(t, status)
	require.Contains(t, errs, planted+" belongs to uid 12346")
	require.Contains(t, errs, "nothing was sent")
	require.Empty(t, trap.stderr.String())
}

// TestTheDefaultPath is in another folder if no socket can be made in /tmp. The client
// finds it, and so does a person who reads the log.
func TestTheDefaultPath(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "nc", "netcat-openbsd")
	shm := "mount -t tmpfs -o mode=1777 none /dev/shm"
	for _, test := range []struct{ name, before, path string }{
		{"a read-only /tmp", shm + " && mount -t tmpfs -o ro none /tmp", "/dev/shm/manhole-"},
		{"neither can be written", shm + " && mount -o remount,ro /dev/shm && mount -t tmpfs -o ro none /tmp", "@manhole-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := in(t, "", test.before, "deadlocked")
			c.contact(t, test.path)
		})
	}
	t.Run("there is nothing but the program", func(t *testing.T) {
		root := shortDir(t)
		program, err := os.ReadFile(plain(t, "./program"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(root, "program"), program, 0o755))
		cmd := exec.Command("/program", "deadlocked")
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
		start(t, cmd, "ready").contact(t, "@manhole-")
	})
}

// contact enters with the client and with nc, at a path that is not the default.
func (c *child) contact(t *testing.T, path string) {
	t.Helper()
	pid := strconv.Itoa(c.Process.Pid)
	c.logs(t, "no socket can be made at the default path; another one is used", "path="+path+pid)
	out, errs, status := oneshotAs(t, []string{"env"}, pid, "mem")
	require.Zero(t, status, errs)
	require.Contains(t, out, "heap in use")
	c.signal(t, usr2)
	where := path + pid
	if !strings.HasPrefix(path, "@") {
		where = "/proc/" + pid + "/root" + where
	}
	eventually(t, func() bool {
		out = nc(t, 0, where, "exit\n")
		return strings.Contains(out, ">>> ")
	}, "nc does not enter: %s", path)
}
