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

var parkedGroup = regexp.MustCompile(`(?m)^40 \(\d+%\) chan send$`)

const readOutside = "has no manhole, and is read from outside, without a signal and without a stop\n"

// A Go program that has never heard of a manhole is read from its memory.
func TestAProgramWithoutAManholeIsReadFromOutside(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "parked"))
	var out, errs string
	var status int
	clienttest.Poll(t, "40 goroutines that wait", func() (string, bool) { // they may not all have begun
		out, errs, status = client(t, os.Args[0], pid)
		return out + errs, status == 0 && parkedGroup.MatchString(out)
	})
	require.Equal(t, "oneshot: process "+pid+" "+readOutside, errs)
	require.Regexp(t, `(?m)^\S+ .*, pid `+pid+`, go1\.`, out)
	require.Regexp(t, `\n1\. 40 goroutines, \d+% of all, wait in chan send at one place, and still \d+ms later\n     at github.com/gomanhole/oneshot/cmd/oneshot.offer  `, out)

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
	require.Contains(t, errs, `there is no "gc" for a program that is read from its memory`)
}

// With -outside the manhole is left alone.
func TestOutsideLeavesTheManholeAlone(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "installed"))
	out, errs, status := client(t, os.Args[0], "-outside", pid, "stacks")
	require.Zero(t, status, errs)
	require.Equal(t, "oneshot: process "+pid+" is read from outside, without a signal and without a stop\n", errs)
	require.Contains(t, out, "goroutine 1\n")
	require.NoFileExists(t, "/tmp/manhole-"+pid)
	require.Contains(t, out, "oneshot/cmd/oneshot.runProgram  ")
}

// No signal, no window and no traceback helps here: the program cannot run any Go code.
func TestAProgramInWhichNothingRunsIsRead(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "frozen", "GODEBUG=asyncpreemptoff=1"))
	clienttest.Poll(t, "a loop that runs", func() (string, bool) {
		out, errs, status := client(t, os.Args[0], "-outside", pid, "stacks", "-state", "running")
		return out + errs, status == 0 && strings.Contains(out, "running\n") &&
			strings.Contains(out, "    created by github.com/gomanhole/oneshot/cmd/oneshot.runProgram  ")
	})
}
