//go:build linux

package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTopPrintsLooks(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(startProgram(t, "parkedinstalled"))
	out, errs, status := client(t, os.Args[0], "top", "-frames", "2", "-every", "0.1", pid)
	require.Zero(t, status, errs)
	require.Regexp(t, `(?s)^oneshot\.test, pid `+pid+`, go1.*\nCPU of \d+; .*\nCPU \d\.\d\d of \d+.*\nheap [0-9.]+ .iB, .*\ngoroutines \d+: .* waiting.*\n +40 +chan send( \(leaked\))? +\S*oneshot\.offer `, out)

	parked := strconv.Itoa(startProgram(t, "parked"))
	out, errs, status = client(t, os.Args[0], "top", parked, "-frames", "1")
	require.Zero(t, status, errs)
	require.Regexp(t, `(?s)\nCPU of .*\nmemory .*\n4\d goroutines in .*\n +40 +chan send( \(leaked\))? +\S*oneshot\.offer `, out)
	require.NotContains(t, out, "heap", "only the program knows it")
}

func TestTopSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(startProgram(t, "installed"))
	for _, test := range []struct {
		says string
		argv []string
	}{
		{"say with -frames N", []string{"top", pid}},
		{"give one process", []string{"top"}},
		{"give a number of seconds from 0.1", []string{"top", "-every", "0", pid}},
		{"serves its clients itself", []string{"top", "-frames", "1", strconv.Itoa(startProgram(t, "handler"))}},
		{"there is no process", []string{"top", "-frames", "1", "999999999"}},
	} {
		_, errs, status := client(t, append([]string{os.Args[0]}, test.argv...)...)
		require.NotZero(t, status)
		require.Contains(t, errs, test.says)
	}
}

// Looking must not change what is looked at: from Go 1.27 on, stacks collects garbage to
// prove leaks. It does not for top.
func TestTopCollectsNoGarbage(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(startProgram(t, "installed"))
	collections := func() string {
		out, errs, status := client(t, os.Args[0], pid, "metrics", "/gc/cycles/forced")
		require.Zero(t, status, errs)
		return strings.Join(regexp.MustCompile(`(?m)^/gc/cycles/forced\S+ +(\d+)$`).FindStringSubmatch(out), "")
	}
	before := collections()
	require.NotEmpty(t, before)
	out, errs, status := client(t, os.Args[0], "top", "-frames", "3", "-every", "0.1", pid)
	require.Zero(t, status, errs)
	require.Equal(t, before, collections(), out)
}

// The screen is left, and the terminal is as before, when the process ends.
func TestTopEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	n := startProgram(t, "parkedinstalled")
	require.NoError(t, syscall.Kill(n, syscall.SIGSTOP))
	defer func() { _ = syscall.Kill(n, syscall.SIGCONT) }()
	_, errs, status := client(t, os.Args[0], "top", "-frames", "1", strconv.Itoa(n))
	require.Equal(t, 1, status)
	require.Contains(t, errs, "is stopped")
	require.NoError(t, syscall.Kill(n, syscall.SIGCONT))
	cmd, out := startClient(t, "top", "-frames", "100000", "-every", "0.1", strconv.Itoa(n))
	pollSessions(t, strconv.Itoa(n), "stacks -nogc -n 50")
	require.NoError(t, syscall.Kill(n, syscall.SIGKILL))
	_ = cmd.Wait()
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Contains(t, out.String(), "has ended")
}
