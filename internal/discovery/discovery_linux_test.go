package discovery

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// readEnv contains a pid. With it, the test binary is a program that reads the
// process with that pid.
const readEnv = "ONESHOT_DISCOVERY_TEST_PID"

func TestMain(m *testing.M) {
	if text := os.Getenv(readEnv); text != "" {
		pid, _ := strconv.Atoi(text)
		p, err := Read(pid)
		_, denied, scanErr := Scan()
		fmt.Println(errors.Is(err, ErrNotPermitted), errors.Is(err, ErrNoProcess), p != nil && p.PID == pid, len(denied) > 0, scanErr)
		fmt.Println(err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func start(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

func TestProcessWithManhole(t *testing.T) {
	dir := testwait.TempDir(t)
	before, err := Read(os.Getpid())
	require.NoError(t, err)
	require.Nil(t, before.Notice)
	m, err := oneshot.Install(oneshot.Options{
		OneshotOn: syscall.SIGUSR2, ActivateOn: syscall.SIGUSR1, SocketPath: dir + "/a b-%p", Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Uninstall()) }()

	p, err := Read(os.Getpid())
	require.NoError(t, err)
	require.Equal(t, &notice.Notice{Oneshot: "SIGUSR2", Activate: "SIGUSR1", Path: dir + "/a b-%p"}, p.Notice)
	require.Equal(t, m.Path(), p.SocketPath())
	require.True(t, p.IsGo && p.Linked && p.SameNet())
	require.Equal(t, ModulePath, p.Main)
	require.Equal(t, os.Geteuid(), p.EUID)
	require.Equal(t, os.Getpid(), p.InnerPID())
	require.Equal(t, before.Start, p.Start)
	all, err := All()
	require.NoError(t, err)
	require.Contains(t, all, p)

	var none Sockets
	n, err := none.Windows(p)
	require.NoError(t, err)
	require.Zero(t, n)
	require.NoError(t, m.Activate())
	testwait.Eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "a window")
	var now Sockets
	for range 2 {
		n, err = now.Windows(p)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	listens, err := ListensOn(p.PID, "a b-"+strconv.Itoa(p.PID))
	require.NoError(t, err)
	require.True(t, listens)
	listens, err = ListensOn(p.PID, "b")
	require.NoError(t, err)
	require.False(t, listens)

	// The kernel's list contains the socket for this process too, since it is in the
	// same namespace. But the process has no window.
	other := *p
	other.PID = start(t, exec.Command("sleep", "1000"))
	var s Sockets
	n, err = s.Windows(&other)
	require.NoError(t, err)
	require.Zero(t, n, "the window belongs to another process")
}

func TestProcessOfAnotherLanguage(t *testing.T) {
	pid := start(t, exec.Command("sleep", "1000"))
	testwait.Eventually(t, func() bool { p, err := Read(pid); return err == nil && p.Name == "sleep" }, "the start of sleep")
	p, err := Read(pid)
	require.NoError(t, err)
	require.False(t, p.IsGo || p.Linked)
	require.Nil(t, p.Notice)
	require.Equal(t, fmt.Sprintf("/tmp/manhole-%d", pid), p.SocketPath())
	all, err := All()
	require.NoError(t, err)
	require.NotEmpty(t, all)
	for _, p := range all {
		require.NotEqual(t, pid, p.PID)
	}
}

func TestNoProcess(t *testing.T) {
	cmd := testwait.Command(t, "true")
	require.NoError(t, cmd.Run())
	for _, pid := range []int{cmd.Process.Pid, 0, -1, 1 << 30} {
		p, err := Read(pid)
		require.ErrorIs(t, err, ErrNoProcess)
		require.Nil(t, p)
	}
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	for _, th := range threads {
		if tid, _ := strconv.Atoi(th.Name()); tid != os.Getpid() {
			_, err := Read(tid)
			require.ErrorIs(t, err, ErrNoProcess)
		}
	}
}

// TestZombie reads a process that has ended and has not been waited for.
func TestZombie(t *testing.T) {
	cmd := testwait.Command(t, "true")
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Wait() }()
	testwait.Eventually(t, func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		return err == nil && strings.Contains(string(text), ") Z ")
	}, "a zombie")
	p, err := Read(cmd.Process.Pid)
	require.NoError(t, err)
	require.False(t, p.IsGo)
}

func TestProcessOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	dir := testwait.TempDir(t)
	require.NoError(t, os.Chmod(dir, 0o755))
	text, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(dir+"/test", text, 0o755))
	cmd := testwait.Command(t, dir+"/test")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", readEnv, os.Getpid()))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, fmt.Sprintf("true false true true <nil>\nprocess %d: not permitted to read /proc/%[1]d/exe\n", os.Getpid()), string(out))
}

func TestAnotherMountNamespace(t *testing.T) {
	if out, err := testwait.Command(t, "unshare", "-mnpf", "--mount-proc", "true").CombinedOutput(); err != nil {
		t.Skipf("needs unshare of util-linux, and root: %v %s", err, out)
	}
	outer := start(t, exec.Command("unshare", "-mnpf", "--kill-child", "--mount-proc", "sleep", "1000"))
	var p *Process
	testwait.Eventually(t, func() bool {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", outer))
		pid, atoiErr := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || atoiErr != nil {
			return false
		}
		p, err = Read(pid)
		return err == nil && p.Name == "sleep"
	}, "sleep in its namespace")
	require.Equal(t, []int{p.PID, 1}, p.Inner)
	require.Equal(t, fmt.Sprintf("/proc/%d/root/tmp/manhole-1", p.PID), p.SocketPath())
	require.False(t, p.SameNet())
}

func TestAnotherRoot(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "1000")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: "/usr"} // if /bin is /usr/bin, /usr contains everything that /bin/sleep needs
	if err := cmd.Start(); err != nil {
		t.Skip("needs root, and /bin/sleep in /usr:", err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	p, err := Read(cmd.Process.Pid)
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("/proc/%d/root/tmp/manhole-%[1]d", p.PID), p.SocketPath())
	require.True(t, p.SameNet())
}

func TestLongLinesAreSkipped(t *testing.T) {
	text := "a\n" + strings.Repeat("x", maxLine+10) + "\nb\n\n" + strings.Repeat("y", 3*maxLine) + "\nc"
	var lines []string
	require.NoError(t, eachLineOf(strings.NewReader(text), func(line []byte) bool {
		lines = append(lines, string(line))
		return true
	}))
	require.Equal(t, []string{"a", "b", "c"}, lines)
	broken := errors.New("broken")
	require.ErrorIs(t, eachLineOf(io.MultiReader(strings.NewReader("a\n"), brokenReader{broken}), func([]byte) bool { return true }), broken)
}

type brokenReader struct{ err error }

func (r brokenReader) Read([]byte) (int, error) { return 0, r.err }

func FuzzListeners(f *testing.F) {
	f.Add([]byte("00000000684177a7: 00000002 00000000 00010000 0001 01 20443 /tmp/man hole-41.0a1b2c"))
	f.Fuzz(func(t *testing.T, line []byte) {
		name, inode, ok := parseListener(line)
		require.Equal(t, ok, name != "", "%q %q", name, inode)
	})
}

func TestListeners(t *testing.T) {
	name, inode, ok := parseListener([]byte("00000000684177a7: 00000002 00000000 00010000 0001 01 20443 /tmp/man hole-41.0a1b2c"))
	require.True(t, ok)
	require.Equal(t, "/tmp/man hole-41.0a1b2c", name)
	require.Equal(t, "20443", inode)
	_, _, ok = parseListener([]byte("00000000684177a7: 00000003 00000000 00000000 0001 03    15 /tmp/manhole-41"))
	require.False(t, ok, "connected")
}
