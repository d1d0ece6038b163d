//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// startClient starts the client. It returns the buffer of the client's output.
func startClient(t *testing.T, argv ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	out := new(bytes.Buffer)
	return startClientFor(t, out, argv...), out
}

// startClientFor starts the client with its output going to out, which may be read
// meanwhile if it is a testwait.Buffer.
func startClientFor(t *testing.T, out io.Writer, argv ...string) *exec.Cmd {
	t.Helper()
	cmd := testwait.Command(t, os.Args[0], argv...)
	cmd.Env = append(os.Environ(), clientEnv+"=1")
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	return cmd
}

// pollSessions waits until the command sessions prints text.
func pollSessions(t *testing.T, pid, text string) {
	t.Helper()
	clienttest.Poll(t, "a session that shows "+text, func() (string, bool) {
		out, errs, status := client(t, os.Args[0], pid, "sessions")
		return fmt.Sprintf("status %d\n%s%s", status, out, errs), status == 0 && strings.Contains(out, text)
	})
}

func TestCtrlCStopsTheCommand(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "installed"))
	cmd, out := startClient(t, pid, "profile", "cpu", "-seconds", "3000")
	pollSessions(t, pid, "profile cpu")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	require.Equalf(t, 130, cmd.ProcessState.ExitCode(), "after the interrupt: %v; printed %q", cmd.ProcessState, out)
	require.Contains(t, out.String(), "interrupted: it has what was recorded until then\n")
	require.NotContains(t, out.String(), "of 3000 s", "the standard error is no terminal")
	_, errs, status := client(t, os.Args[0], pid, "profile", "cpu", "-seconds", "0.1")
	require.Zero(t, status, errs)
}

func TestProgramEndsDuringCommand(t *testing.T) {
	n := startProgram(t, "installed")
	pid := strconv.Itoa(n)
	cmd, out := startClient(t, pid, "profile", "cpu", "-seconds", "3000")
	pollSessions(t, pid, "profile cpu")
	require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
	_ = cmd.Wait()
	require.Equalf(t, 1, cmd.ProcessState.ExitCode(), "after the end of the program: %v; printed %q", cmd.ProcessState, out)
	require.Contains(t, out.String(), "the answer is incomplete")
}

// As in oneshot PID stacks | head.
func TestReaderClosesTheOutput(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "installed"))
	cmd := testwait.Command(t, "sh", "-c", `"$0" "$1" bytes | head -c 1 >/dev/null`, os.Args[0], pid)
	cmd.Env = append(os.Environ(), clientEnv+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
}

// For every answer, readAnswer returns and nothing harmful reaches the terminal.
func TestHostileAnswers(t *testing.T) {
	for name, test := range map[string]struct{ sent, says string }{
		"refused":      {"oneshot: refused: uid 7 may not enter\n", "refused: uid 7 may not enter"},
		"nothing":      {"", "the answer is incomplete"},
		"half":         {"\x01\x00\x00\x00\x00\x00\x00\x09abc", "the answer is incomplete"},
		"no frame":     {"\x07\x00\x00\x00", "the answer is incomplete"},
		"too long":     {"\x01\x00\x00\x00\xff\xff\xff\xff", "not a frame"},
		"no status":    {"\x03\x00\x00\x00\x00\x00\x00\x02-1", `invalid exit status "-1"`},
		"escapes":      {"\x02\x00\x00\x00\x00\x00\x00\x04\x1b[2J\x03\x00\x00\x00\x00\x00\x00\x010", `\x1b[2J`},
		"a base":       {"\x04\x00\x00\x00\x00\x00\x00\x01x\x03\x00\x00\x00\x00\x00\x00\x010", "the program has sent a profile that cannot be read"},
		"a large base": {strings.Repeat("\x04\x00\x00\x00\x00\x10\x00\x00"+strings.Repeat("x", 1<<20), 66), "the profile is too large"},
		"plain esc":    {"[\x1b[2J" + strings.Repeat("x", 1<<20), `[\x1b[2J`},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			ours, theirs := net.Pipe()
			defer ours.Close() // readAnswer may stop early
			require.NoError(t, ours.SetDeadline(time.Now().Add(testwait.Patience)))
			go func() {
				_, _ = io.WriteString(theirs, test.sent)
				theirs.Close()
			}()
			_, err := readAnswer(ours, &out, &errs, new(display.Progress))
			text := out.String() + errs.String()
			if err != nil {
				text += err.Error()
			}
			require.Contains(t, text, test.says)
			require.NotContains(t, text, "\x1b")
			require.Less(t, len(text), 10_000)
		})
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x00\x00\x00\x01x\x03\x00\x00\x00\x00\x00\x00\x010"))
	f.Add([]byte("\x04\x00\x00\x00\x00\x00\x00\x01x\x01\x00\x00\x00\x00\x00\x00\x01y\x03\x00\x00\x00\x00\x00\x00\x010"))
	f.Add([]byte("oneshot: refused\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		_, _ = readAnswer(bytes.NewReader(sent), io.Discard, io.Discard, new(display.Progress))
	})
}

// All clients send the signal, and one is the first to connect. In the end each of
// them gets a session.
func TestManyClientsAtOnce(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "installed"))
	var clients sync.WaitGroup
	for range 8 { // the maximum number of sessions
		clients.Go(func() {
			cmd := testwait.Command(t, os.Args[0], "-t", "20", pid, "say", "hello")
			cmd.Env = append(os.Environ(), clientEnv+"=1")
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != "[\"hello\"]\n" {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	clients.Wait() // each command has a deadline
}

// After Uninstall the signal may mean something else, so the client must not send it
// again.
func TestNoSecondSignalAfterUninstall(t *testing.T) {
	cmd := testwait.Command(t, os.Args[0])
	cmd.Env = append(os.Environ(), programEnv+"=uninstalls")
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	clienttest.ReadReady(t, out)
	_, errs, status := client(t, os.Args[0], "-t", "1.5", strconv.Itoa(cmd.Process.Pid), "build")
	require.Equal(t, statusTimeout, status, errs)
	in.Close()
	text, err := io.ReadAll(out)
	require.NoError(t, err)
	require.Equal(t, "1 signals\n", string(text))
	require.NoError(t, cmd.Wait())
}
