//go:build linux

// Package integration starts real programs and drives them with the clients
// that people use: nc, socat, a terminal, another user.
package integration

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/stretchr/testify/require"
)

const patience = 30 * time.Second

// server is the binary of examples/server, which every user may run.
var server string

// plain builds a package as its users would, not with what these tests were
// built with, once, and returns the binary, which every user may run. It is a
// static one, which needs no C library where there is none, but for cgoprogram.
func plain(t *testing.T, pkg string) string {
	t.Helper()
	built, _ := binaries.LoadOrStore(pkg, sync.OnceValues(func() (string, error) {
		file := filepath.Join(filepath.Dir(server), strings.ReplaceAll(filepath.Clean(pkg), "/", "-"))
		build := exec.Command("go", "build", "-o", file, pkg)
		if pkg != "./cgoprogram" {
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		out, err := build.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
		return file, err
	}))
	file, err := built.(func() (string, error))()
	require.NoError(t, err)
	return file
}

var binaries sync.Map // of the function that builds it, by package

// startIn starts ./program in a condition: its name and arguments. Its socket
// stands in the default place.
func startIn(t *testing.T, condition ...string) *child {
	t.Helper()
	return start(t, exec.Command(plain(t, "./program"), condition...), "ready")
}

func TestMain(m *testing.M) {
	if name := os.Getenv("INTEGRATION_PROGRAM"); name != "" {
		if name == "condition" {
			condition(os.Getenv("INTEGRATION_CONDITION"))
		}
		program(name)
	}
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
	build := exec.Command("go", "build", "-o", server, "../examples/server")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building examples/server: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// program is a program with its own handling of SIGTERM, which takes a moment
// and ends with status 3.
func program(name string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	m, err := oneshot.Install(oneshot.Options{
		OneshotOn:  syscall.SIGUSR2,
		SocketPath: os.Getenv("INTEGRATION_PATH"),
		NoReceiver: name == "wait",
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	if name == "wait" {
		// By ctx, if the signal came before Wait.
		if sig, err := m.Wait(ctx, syscall.SIGTERM); sig != syscall.SIGTERM && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, sig, err)
			os.Exit(1)
		}
	} else {
		<-ctx.Done()
	}
	stop()
	time.Sleep(2 * time.Millisecond)
	_ = m.Uninstall() // a window may have been opened since
	os.Exit(3)
}

// child is a program that was started.
type child struct {
	*exec.Cmd
	path   string // its socket
	stderr *log
	ended  chan struct{}
}

type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a command that prints a line with text when it is ready.
func start(t *testing.T, cmd *exec.Cmd, text string) *child {
	t.Helper()
	c := &child{Cmd: cmd, stderr: &log{}, ended: make(chan struct{})}
	if cmd.Stderr == nil {
		cmd.Stderr = c.stderr
	}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, "%s did not start: %s", cmd, c.stderr)
		if strings.Contains(line, text) {
			break
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // ProcessState tells
		close(c.ended)
	}()
	c.path = fmt.Sprintf("/tmp/manhole-%d", cmd.Process.Pid)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-c.ended
		// Or a program that has this pid some day finds a dead socket at its path.
		if _, err := net.Dial("unix", c.path); errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(c.path)
		}
	})
	return c
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
		require.FailNow(t, "the program does not end")
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
	require.Eventuallyf(t, f, patience, time.Millisecond, what, args...)
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
	}, "the descriptors do not settle")
	return s
}
