//go:build linux

package main

import (
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// onTerminal runs the client with its output on a terminal, and input as its standard
// input. It returns what the terminal got, and the exit status.
func onTerminal(t *testing.T, input string, argv ...string) (shown string, status int) {
	t.Helper()
	master, slave, err := pty.Open()
	require.NoError(t, err)
	defer master.Close()
	defer slave.Close()
	cmd := testwait.Command(t, os.Args[0], argv...)
	cmd.Env = append(os.Environ(), clientEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, cmd.Start())
	out := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(master) // EIO at the end of the last process
		out <- string(text)
	}()
	_ = cmd.Wait()
	slave.Close()
	return strings.ReplaceAll(testwait.Receive(t, out, "the end of the terminal"), "\r\n", "\n"), cmd.ProcessState.ExitCode()
}

// An attacker may control the output of a program. No control character may reach the
// terminal, no matter how the client was called.
func TestOutputOfAProgramIsEscaped(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "installed"))

	shown, status := onTerminal(t, "", pid, "title")
	require.Zero(t, status, shown)
	require.Equal(t, "\\x1b]0;TITLE\\x07 gr\u00fc\u00df\n", shown)

	shown, status = onTerminal(t, "title\nexit\n", pid)
	require.Zero(t, status, shown)
	require.Contains(t, shown, "\\x1b]0;TITLE\\x07 gr\u00fc\u00df\n")
	require.NotContains(t, shown, "\x1b")

	shown, status = onTerminal(t, "", pid, "bytes")
	require.Equal(t, 1, status)
	require.Equal(t, "oneshot: the answer is binary, and is not shown on a terminal; to save it, write > FILE behind the command\n", shown)
}

// A profile that the terminal cannot show must be refused before it begins.
func TestBinaryAnswersAreRefusedAtOnce(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "installed"))
	for _, command := range []string{"trace -seconds 600", "profile cpu -seconds 3000", "profile heap"} {
		shown, status := onTerminal(t, "", append([]string{pid}, strings.Fields(command)...)...)
		require.Equal(t, 1, status, shown)
		require.Contains(t, shown, "> FILE", command)
		require.Equal(t, 1, strings.Count(shown, "\n"), shown)
	}
}
