//go:build linux

// Package integration starts real programs and drives them with the clients
// that people use: nc, socat, a terminal, another user.
package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

const patience = testwait.Patience

// goTime is how long a go command may take: with an empty cache, on one busy CPU.
const goTime = 4 * time.Minute

// outputTime is how long the output of a program is read on after its end, if
// another process has it open.
const outputTime = patience / 3

// server is the binary of examples/server, which every user may run.
var server string

// plain builds a package as its users would, not with what these tests were
// built with, once, and returns the binary, which every user may run. It is a
// static one, which needs no C library where there is none, but for cgoprogram.
func plain(t *testing.T, pkg string) string {
	t.Helper()
	built, _ := binaries.LoadOrStore(pkg, sync.OnceValues(func() (string, error) {
		file := filepath.Join(filepath.Dir(server), strings.ReplaceAll(filepath.Clean(pkg), "/", "-"))
		if pkg == "./cgoprogram" {
			return file, build(file, pkg)
		}
		return file, build(file, pkg, "CGO_ENABLED=0")
	}))
	file, err := built.(func() (string, error))()
	require.NoError(t, err)
	return file
}

var binaries sync.Map // of the function that builds it, by package

// build builds a package, with more in the environment.
func build(file, pkg string, env ...string) error {
	_, err := runGo(env, "build", "-o", file, pkg)
	return err
}

// runGo runs a go command and returns its output. It does not end with a test:
// several tests may wait for the same command.
func runGo(env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), goTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.WaitDelay = outputTime
	out, err := cmd.CombinedOutput()
	if err != nil { // with the deadline, if it was killed for that
		err = fmt.Errorf("%s: %w\n%s", cmd, errors.Join(err, ctx.Err()), out)
	}
	return string(out), err
}

// startIn starts ./program in a condition: its name and arguments. Its socket
// stands in the default place.
func startIn(t *testing.T, condition ...string) *child {
	t.Helper()
	return start(t, exec.Command(plain(t, "./program"), condition...), "ready")
}

func TestMain(m *testing.M) {
	// Or each of the many programs takes a second to end under the race detector.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "oneshot")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	server = filepath.Join(dir, "server")
	if err := build(server, "../examples/server"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// child is a program that was started.
type child struct {
	*exec.Cmd
	path   string // its socket
	stderr *testwait.Buffer
	ended  chan struct{}
}

// start starts a command that prints a line with text when it is ready.
func start(t *testing.T, cmd *exec.Cmd, text string) *child {
	t.Helper()
	c := &child{Cmd: cmd, stderr: &testwait.Buffer{}, ended: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = c.stderr
	}
	cmd.WaitDelay = outputTime
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	testwait.Deadline(t, out)
	lines := bufio.NewReader(out)
	var seen strings.Builder
	for !strings.Contains(seen.String(), text) {
		line, err := lines.ReadString('\n')
		seen.WriteString(line)
		if err != nil {
			go c.reap()
			require.Failf(t, "not ready", "%s has not printed %q but %q: %v\n%s", cmd, text, seen.String(), err, c.end())
		}
	}
	require.NoError(t, out.(*os.File).SetReadDeadline(time.Time{}))
	go func() { _, _ = io.Copy(io.Discard, lines) }() // until Wait closes it
	go c.reap()
	c.path = fmt.Sprintf("/tmp/manhole-%d", cmd.Process.Pid)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		testwait.Receive(t, c.ended, "the end of %s, which was killed", cmd)
		// Or a program that has this pid some day finds a dead socket at its path.
		if _, err := net.Dial("unix", c.path); errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(c.path)
		}
	})
	return c
}

// reap waits for the end of the program, and no longer than outputTime for
// other processes that have its standard error open.
func (c *child) reap() {
	_ = c.Cmd.Wait() // ProcessState tells
	close(c.ended)
}

// end ends a program that hangs or has ended, and returns the beginning of
// what it wrote to its standard error. If it is a Go program that hangs, it says
// there what its goroutines wait for.
func (c *child) end() string {
	for _, sig := range []syscall.Signal{syscall.SIGCONT, syscall.SIGQUIT, syscall.SIGKILL} {
		_ = c.Process.Signal(sig) // it may have ended
		if sig == syscall.SIGCONT {
			continue
		}
		select {
		case <-c.ended:
		case <-time.After(2 * outputTime):
			continue
		}
		break
	}
	text := c.stderr.String()
	return text[:min(len(text), 32<<10)]
}

// startServer starts examples/server, through the command before if given.
func startServer(t *testing.T, before ...string) *child {
	t.Helper()
	argv := append(before, server)
	return start(t, exec.Command(argv[0], argv[1:]...), "nc -U")
}

func (c *child) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, c.Process.Signal(sig))
}

// open opens a window and waits until its socket stands.
func (c *child) open(t *testing.T) {
	t.Helper()
	c.signal(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(c.path); return err == nil }, "no window; %s", c.stderr)
}

func (c *child) wait(t *testing.T) syscall.WaitStatus {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		require.FailNow(t, "the program does not end", "%s\n%s", c, c.end())
	}
	return c.ProcessState.Sys().(syscall.WaitStatus)
}

// session sends input in a session of its own and returns all output.
func (c *child) session(t *testing.T, input string) string {
	t.Helper()
	c.signal(t, syscall.SIGUSR2)
	var conn net.Conn
	eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", c.path)
		return err == nil
	}, "no window; %s", c.stderr)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, input)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.UnixConn).CloseWrite())
	out, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(out)
}

func eventually(t *testing.T, f func() bool, what string, args ...any) {
	t.Helper()
	testwait.Eventually(t, f, what, args...)
}

func need(t *testing.T, program, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("needs %s; install it with apt-get install %s", program, debianPackage)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to run as several users; try sudo -E go test ./integration")
	}
	need(t, "setpriv", "util-linux")
}

// as runs a command as another user.
func as(uid int, argv ...string) []string {
	id := strconv.Itoa(uid)
	return append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "--"}, argv...)
}

// state is what a program is made of, which sessions must not change.
type state struct{ goroutines, descriptors, threads int }

var goroutines = regexp.MustCompile(`(?m)^goroutines +(\d+): `)

// state looks at a program that is idle but for this one session.
func (c *child) state(t *testing.T) (s state) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d", c.Process.Pid)
	count := func(dir string) int {
		entries, err := os.ReadDir(proc + dir)
		require.NoError(t, err)
		return len(entries)
	}
	found := goroutines.FindStringSubmatch(c.session(t, "exit\n"))
	require.NotNil(t, found)
	s.goroutines, _ = strconv.Atoi(found[1])
	s.threads = count("/task")
	// The session's own descriptor goes just after the client has seen its end.
	s.descriptors = count("/fd")
	eventually(t, func() bool {
		last := s.descriptors
		s.descriptors = count("/fd")
		return s.descriptors == last
	}, "the descriptors do not settle: %+v", &s)
	return s
}
