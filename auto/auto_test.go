//go:build linux || darwin || freebsd

package auto_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot"
	_ "github.com/gomanhole/oneshot/auto"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// programEnv makes the test binary a program that imports package auto. The program
// prints whether it has a manhole, and exits when its standard input ends.
const programEnv = "ONESHOT_AUTO_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		fmt.Println("manhole:", oneshot.Installed() != nil)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	os.Exit(m.Run())
}

// program is a running program.
type program struct {
	*exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer // may be read only after end
}

// start starts the program with ONESHOT=text, or without the variable if there is
// no text. It requires that the program has a manhole, or has none.
func start(t *testing.T, manhole bool, text ...string) *program {
	t.Helper()
	p := &program{Cmd: testwait.Command(t, os.Args[0])}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "ONESHOT=") {
			p.Env = append(p.Env, entry)
		}
	}
	p.Env = append(p.Env, programEnv+"=1", "GORACE=atexit_sleep_ms=0") // otherwise each program takes a second longer under -race
	for _, value := range text {
		p.Env = append(p.Env, "ONESHOT="+value)
	}
	p.Stderr = &p.stderr
	stdin, err := p.StdinPipe()
	require.NoError(t, err)
	p.stdin = stdin
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		_ = p.Process.Kill() // unless the test has failed, the program has ended before
		_ = p.Wait()
	})
	testwait.Deadline(t, out)
	said, err := bufio.NewReader(out).ReadString('\n')
	require.NoErrorf(t, err, "waited for: a line about the manhole; the program printed %q", said)
	require.Equal(t, fmt.Sprintf("manhole: %t\n", manhole), said)
	return p
}

// end makes the program exit, requires that it exits with status 0, and returns its
// standard error.
func (p *program) end(t *testing.T) string {
	t.Helper()
	require.NoError(t, p.stdin.Close())
	require.NoErrorf(t, p.Wait(), "waited for: the end of the program; it wrote %s", &p.stderr)
	return p.stderr.String()
}

// visit opens a window with sig and goes through a session.
func (p *program) visit(t *testing.T, sig syscall.Signal, path string) {
	t.Helper()
	testwait.RemoveDead(path)
	require.NoError(t, p.Process.Signal(sig))
	var conn net.Conn
	testwait.Eventually(t, func() bool {
		var err error
		conn, err = net.Dial("unix", path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		return err == nil
	}, "a socket %s", path)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(testwait.Patience)))
	_, err := conn.Write([]byte("exit\n"))
	require.NoError(t, err)
	screen, err := io.ReadAll(conn)
	require.NoErrorf(t, err, "waited for: the end of the session; read: %q", screen)
	require.Contains(t, string(screen), strconv.Itoa(p.Process.Pid))
	require.Contains(t, string(screen), ">>> ")
	_, err = os.Lstat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestImportInstallsWithOptions(t *testing.T) {
	dir := testwait.TempDir(t)
	p := start(t, true, fmt.Sprintf(`oneshot_on="USR1", socket_path=%q, verbose=False`, filepath.Join(dir, "s-%p")))
	p.visit(t, syscall.SIGUSR1, filepath.Join(dir, "s-"+strconv.Itoa(p.Process.Pid)))
	require.Empty(t, p.end(t))
}

func TestEmptyVariableMeansUSR2(t *testing.T) {
	p := start(t, true, "")
	p.visit(t, syscall.SIGUSR2, "/tmp/manhole-"+strconv.Itoa(p.Process.Pid))
	require.Contains(t, p.end(t), "window open", "the log")
}

func TestImportWithoutVariableInstallsNothing(t *testing.T) {
	require.Empty(t, start(t, false).end(t))
}

func TestWrongVariableIsOneLineOfError(t *testing.T) {
	for text, want := range map[string]string{
		"oneshot_on=USR3":              `oneshot: ONESHOT: oneshot_on: unknown signal "USR3"; give a name such as USR2 or a number from 1 to 64`,
		"onshot_on=USR2":               "did you mean oneshot_on?",
		`socket_path="/not/there\n/s"`: "the directory of SocketPath /not/there",
	} {
		line := start(t, false, text).end(t)
		require.True(t, strings.HasPrefix(line, "oneshot: "), line)
		require.Contains(t, line, want)
		require.Equal(t, 1, strings.Count(line, "\n"), line)
		require.True(t, strings.HasSuffix(line, "\n"), line)
	}
}
