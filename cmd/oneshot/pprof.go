//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const pprofHelp = `usage: oneshot pprof [flags] PID PROFILE [ARG...] [-- PPROF-FLAG...]

Takes a profile (cpu, heap, allocs, block, mutex, goroutine, threadcreate, or one of
the program's own) and opens it with go tool pprof. The ARGs are those of the command
profile in a session, the PPROF-FLAGs those of go tool pprof. If PROFILE is trace, it
is opened with go tool trace. The flags are those of a session.

	oneshot pprof 4321 heap
	oneshot pprof 4321 cpu -seconds 10 -- -top
	oneshot pprof 4321 allocs -seconds 5 -- -http :8080

Ctrl-C ends the recording early and opens what there is. The profile is a temporary
file. Without a go command, oneshot keeps the file and prints its name. The program has written
this file, and go tool pprof reads it: see SECURITY.md if you do not trust the program.
`

// runPprof takes a profile and opens it with go tool pprof or go tool trace.
func runPprof(args []string, stdout, stderr io.Writer) error {
	o, rest, err := parseConnect("pprof", args)
	if err != nil {
		return err
	}
	var toolFlags []string
	if i := slices.Index(rest, "--"); i >= 0 {
		rest, toolFlags = rest[:i], rest[i+1:]
	}
	if len(rest) < 2 {
		return usageError{"pprof: give a process and a profile, such as oneshot pprof PID heap; oneshot help pprof says more"}
	}
	t, err := parseTarget(rest[0])
	if err != nil {
		return err
	}
	name, tool, line := rest[1], "pprof", append([]string{"profile"}, rest[1:]...)
	if name == "trace" {
		tool, line = "trace", rest[1:]
	}
	if slices.Contains(line, "-o") {
		return usageError{"pprof: -o is not possible here; oneshot PID profile NAME > FILE saves a profile"}
	}
	dir, err := os.MkdirTemp("", "oneshot-pprof-")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, fileName(name)+".pb.gz")
	stop := removeOnSignal(dir)
	err = saveOutput(t, o, commandLine(line), file, stderr)
	stop()
	if info, statErr := os.Stat(file); wasInterrupted(err) && statErr == nil && info.Size() > 0 {
		err = nil // it has what was recorded until then
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	goCommand, err := exec.LookPath("go")
	if err != nil {
		_, err := fmt.Fprintf(stdout, "the profile is in %s; there is no go command here to open it\n", file)
		return err
	}
	defer os.RemoveAll(dir)
	defer removeOnSignal(dir)()
	return runTool(exec.Command(goCommand, append(append([]string{"tool", tool}, toolFlags...), file)...), stdout, stderr)
}

// wasInterrupted reports whether a command ended because of Ctrl-C.
func wasInterrupted(err error) bool {
	var status statusError
	return errors.As(err, &status) && status.status == statusInterrupted
}

// runTool runs a command until it exits and returns its exit status as an error.
func runTool(cmd *exec.Cmd, stdout, stderr io.Writer) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	// Ctrl-C is for the tool. signal.Ignore would not do: the tool would inherit it.
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return statusError{status: exit.ExitCode()}
	}
	return err
}

// fileName turns the name of a profile, which can be any text, into a file name.
func fileName(profile string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, profile)
}

// removeOnSignal removes a directory if a signal ends the process before stop is
// called.
func removeOnSignal(dir string) (stop func()) {
	c := make(chan os.Signal, 1)
	done := make(chan struct{})
	signal.Notify(c, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		select {
		case sig := <-c:
			_ = os.RemoveAll(dir)
			os.Exit(128 + int(sig.(syscall.Signal)))
		case <-done:
		}
	}()
	return func() {
		signal.Stop(c)
		close(done)
	}
}

// saveOutput runs a line and writes its output into a new file.
func saveOutput(t target, o connectOptions, line, file string, stderr io.Writer) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = runCommand(t, o, line, f, stderr)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
