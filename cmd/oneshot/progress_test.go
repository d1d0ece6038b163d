//go:build linux

package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestProgressOnATerminal records into a file, as in oneshot PID profile cpu > FILE. The
// standard error is a terminal.
func TestProgressOnATerminal(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "installed"))
	for _, test := range []struct {
		words []string
		shows string
	}{
		{[]string{pid, "profile", "cpu", "-seconds", "2.5"}, "\r\x1b[Kcpu profile: 2 of 2.5 s"},
		{[]string{pid, "trace", "-seconds", "2.5"}, "\r\x1b[Ktrace: 2 of 2.5 s"},
		{[]string{"pprof", pid, "cpu", "-seconds", "2.5", "--", "-raw"}, "\r\x1b[Kcpu profile: 2 of 2.5 s"},
	} {
		master, slave, err := pty.Open()
		require.NoError(t, err)
		file, err := os.Create(filepath.Join(t.TempDir(), "out"))
		require.NoError(t, err)
		cmd := testwait.Command(t, os.Args[0], test.words...)
		cmd.Env = append(os.Environ(), clientEnv+"=1")
		cmd.Stdout, cmd.Stderr = file, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		require.NoError(t, cmd.Start())
		slave.Close()
		shown := make(chan string, 1)
		go func() {
			text, _ := io.ReadAll(master) // EIO at the end of the last process
			shown <- string(text)
		}()
		text := testwait.Receive(t, shown, "the end of the terminal")
		require.NoError(t, cmd.Wait(), text)
		require.Contains(t, text, test.shows)
		require.Regexp(t, `^(\r\x1b\[K[^\r\n]*)+\r\x1b\[K(Main binary filename not available.\r\n)?$`, text, "one line, which is gone at the end")
		require.NoError(t, file.Close())
		require.NoError(t, master.Close())
		saved, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		require.NotEmpty(t, saved)
		require.NotContains(t, string(saved), "of 2.5 s")
	}
}

// TestCtrlCKeepsTheRecording interrupts recordings of an hour.
func TestCtrlCKeepsTheRecording(t *testing.T) {
	goCommand, err := exec.LookPath("go")
	require.NoError(t, err)
	pid := strconv.Itoa(startProgram(t, "installed"))
	for _, test := range []struct{ name, seconds, tool, shows string }{
		{"cpu", "3000", "pprof -raw", "samples/count cpu/nanoseconds"},
		{"allocs", "3000", "pprof -raw", "alloc_objects/count alloc_space/bytes"},
		{"trace", "600", "trace -d=parsed", "Sync"},
	} {
		line := []string{pid, "profile", test.name, "-seconds", test.seconds}
		if test.name == "trace" {
			line = []string{pid, "trace", "-seconds", test.seconds}
		}
		file, err := os.Create(filepath.Join(t.TempDir(), "out"))
		require.NoError(t, err)
		cmd := testwait.Command(t, os.Args[0], line...)
		cmd.Env = append(os.Environ(), clientEnv+"=1")
		errs := new(testwait.Buffer)
		cmd.Stdout, cmd.Stderr = file, errs
		require.NoError(t, cmd.Start())
		pollSessions(t, pid, test.seconds)
		require.NoError(t, cmd.Process.Signal(os.Interrupt))
		_ = cmd.Wait()
		require.Equal(t, statusInterrupted, cmd.ProcessState.ExitCode(), errs)
		require.Contains(t, errs.String(), "interrupted: it has what was recorded until then\n")
		require.NoError(t, file.Close())
		out, err := testwait.Command(t, "sh", "-c", goCommand+" tool "+test.tool+" "+file.Name()).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, string(out), test.shows)
	}

	cmd, out := startClient(t, "pprof", pid, "cpu", "-seconds", "3000", "--", "-raw")
	pollSessions(t, pid, "3000")
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), out.String())
	require.Contains(t, out.String(), "samples/count cpu/nanoseconds")
}
