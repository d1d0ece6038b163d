//go:build linux && (amd64 || arm64)

package main

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
)

var parkedGroup = regexp.MustCompile(`(?m)^1\. 40 goroutines, \d+% of all, wait in chan send at one place, and still \S+\s+later
   at oneshot\.offer  cmd/oneshot/main_test\.go:\d+
   started at oneshot\.runProgram  cmd/oneshot/main_test\.go:\d+
To see more: stacks -state send \(1\), stacks \(all\)

41 goroutines in 2 groups by identical stacks; the largest others:
1 \(2%\) \S+  oneshot.runProgram  cmd/oneshot/main_test\.go:\d+$`)

const readOutside = "has no manhole, and is read from outside, without a signal and without a stop\n"

// This Go program does not import the package.
func TestAProgramWithoutAManholeIsReadFromOutside(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "parked"))
	var out, errs string
	var status int
	clienttest.Poll(t, "40 goroutines that wait", func() (string, bool) { // they may not all have begun
		out, errs, status = client(t, os.Args[0], pid)
		return out + errs, status == 0 && parkedGroup.MatchString(out)
	})
	require.Equal(t, "oneshot: process "+pid+" "+readOutside, errs)
	require.Regexp(t, `^oneshot.test, pid `+pid+`, github.com/gomanhole/oneshot.*, go1\.\S+.*\nup \d+s; it is of uid `+strconv.Itoa(os.Geteuid())+`; .*\nCPU \d+\.\d of \d+ for the last \S+`, out)
	require.Regexp(t, `\nmemory \S+ .iB resident, at most \S+ .iB so far.*; \d+ of \d+ descriptors\ngoroutines 4\d: .*4\d waiting.*; \d+ threads\n`, out)
	out, _, status = client(t, os.Args[0], pid, "stacks")
	require.Zero(t, status)
	require.Regexp(t, `\n1\. 40 goroutines, \d+% of all, wait in chan send at one place, and still \S+ later\n     at github.com/gomanhole/oneshot/cmd/oneshot.offer  cmd/oneshot/main_test.go`, out)
	require.Regexp(t, `(?m)^40 \(\d+%\) chan send$`, out)
	require.Regexp(t, `    github.com/gomanhole/oneshot/cmd/oneshot.offer  /.*/cmd/oneshot/main_test.go:\d+\n`, outOf(t, pid, "stacks", "-paths"))
	require.Contains(t, outOf(t, pid, "stacks", "-frames"), "\n1 (2%) ")

	out, _, status = client(t, os.Args[0], pid, "stacks", "-n", "0", "-state", "chan send")
	require.Zero(t, status)
	require.Regexp(t, `^\n40 goroutines \(of \d+\) in 1 group by identical stacks`, out)
	out, _, status = client(t, os.Args[0], pid, "goroutine", "1")
	require.Zero(t, status)
	require.Regexp(t, `(?s)^goroutine 1 \[[^]]+\]:\n.*\ngithub.com/gomanhole/oneshot/cmd/oneshot.runProgram\(\)\n\t\S+/main_test.go:\d+\n.*main.main\(\)\n`, out)

	_, errs, status = client(t, os.Args[0], pid, "goroutine", "999999999")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "there is no goroutine 999999999\n")
	_, errs, status = client(t, os.Args[0], pid, "gc")
	require.Equal(t, 2, status)
	require.Equal(t, "oneshot: gc needs the help of the program, and process "+pid+" has no manhole; nothing outside can start a collection\n", errs)
}

// outOf returns what a command prints for a process.
func outOf(t *testing.T, pid string, words ...string) string {
	t.Helper()
	out, errs, status := client(t, append([]string{os.Args[0], pid}, words...)...)
	require.Zero(t, status, errs)
	return out
}

// With -outside, the client does not use the manhole.
func TestOutsideDoesNotOpenTheManhole(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "installed"))
	out, errs, status := client(t, os.Args[0], "-outside", pid, "stacks")
	require.Zero(t, status, errs)
	require.Equal(t, "oneshot: process "+pid+" is read from outside, without a signal and without a stop\n", errs)
	require.Contains(t, out, "goroutine 1\n")
	require.NoFileExists(t, "/tmp/manhole-"+pid)
	require.Contains(t, out, "oneshot/cmd/oneshot.runProgram  ")
	out, _, status = client(t, os.Args[0], "-outside", pid)
	require.Zero(t, status)
	require.Contains(t, out, "; oneshot -outside "+pid+" help lists the commands\n")
}

// The program cannot run any Go code, so no signal and no traceback would help.
func TestAProgramThatCannotRunGoCodeIsRead(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "frozen", "GODEBUG=asyncpreemptoff=1"))
	clienttest.Poll(t, "a loop that runs", func() (string, bool) {
		out, errs, status := client(t, os.Args[0], "-outside", pid, "stacks", "-state", "running")
		return out + errs, status == 0 && strings.Contains(out, "running\n") &&
			strings.Contains(out, "    created by github.com/gomanhole/oneshot/cmd/oneshot.runProgram  ")
	})
}
