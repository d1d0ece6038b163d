//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/gomanhole/oneshot/internal/frame"
)

// session is a session: with a person, if there is a terminal.
func session(t target, o connectOptions, stdin, stdout *os.File) error {
	conn, err := connect(t, o, false)
	if err != nil {
		return err
	}
	defer conn.Close()
	if term.IsTerminal(int(stdin.Fd())) && term.IsTerminal(int(stdout.Fd())) {
		return interact(conn, stdin, stdout)
	}
	return pipe(conn, stdin, stdout)
}

// command runs one line and ends with its status.
func command(t target, o connectOptions, line string, stdout, stderr io.Writer) error {
	if strings.ContainsAny(line, "\n\x03") {
		return usageError{"a command is one line"}
	}
	conn, err := connect(t, o, true)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}

	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	done := make(chan struct{})
	defer close(done)
	defer signal.Stop(interrupts)
	go func() { passInterrupts(conn, interrupts, done) }()

	status, err := answer(conn, stdout, stderr)
	if errors.Is(err, syscall.EPIPE) { // oneshot PID stacks | head
		return statusError{status: statusFailed}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	if status != 0 {
		return statusError{status: status}
	}
	return nil
}

// passInterrupts stops the running command for Ctrl-C. The second time nothing is
// waited for.
func passInterrupts(conn *net.UnixConn, interrupts <-chan os.Signal, done <-chan struct{}) {
	const interrupt = 0x03
	for n := 0; ; n++ {
		select {
		case <-interrupts:
		case <-done:
			return
		}
		if n > 0 {
			conn.Close()
			return
		}
		_, _ = conn.Write([]byte{interrupt}) // a program that is gone is noticed by answer
	}
}

// answer copies the frames of an answer to where they belong, and returns the
// exit status.
func answer(r io.Reader, stdout, stderr io.Writer) (int, error) {
	in := bufio.NewReader(r)
	if first, err := in.Peek(1); err == nil && first[0] >= ' ' {
		// Who is refused is told so in plain text.
		text, _ := io.ReadAll(io.LimitReader(in, 4<<10))
		return 0, errors.New(strings.TrimPrefix(strings.TrimSpace(shown(string(text))), "oneshot: "))
	}
	frames := frame.NewReader(in)
	for {
		kind, payload, err := frames.Next()
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
			return 0, errors.New("the answer ends in the middle: the program has ended, or the session was")
		case err != nil:
			return 0, err
		case kind == frame.Output:
			if _, err := stdout.Write(payload); err != nil {
				return 0, err
			}
		case kind == frame.Error:
			_, _ = io.WriteString(stderr, shown(string(payload)))
		case kind == frame.End:
			status, err := strconv.ParseUint(string(payload), 10, 8)
			if err != nil {
				return 0, fmt.Errorf("its exit status is %.20q", payload)
			}
			return int(status), nil
		}
	}
}

// runPprof takes a profile and opens it with the tool.
func runPprof(args []string, stdout, stderr io.Writer) error {
	o, rest, err := parseConnect(args)
	if err != nil {
		return err
	}
	var flags []string
	if i := slices.Index(rest, "--"); i >= 0 {
		rest, flags = rest[:i], rest[i+1:]
	}
	if len(rest) < 2 {
		return usageError{"pprof: name a process and a profile: oneshot pprof PID heap; oneshot help pprof tells more"}
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
		return usageError{"pprof: -o is not for here; oneshot PID profile NAME > FILE keeps a profile"}
	}
	dir, err := os.MkdirTemp("", "oneshot-pprof-")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, strings.Map(func(r rune) rune { // it may be anything
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, name)+".pb.gz")
	stop := removeAtEnd(dir)
	err = fetch(t, o, commandLine(line), file, stderr)
	stop()
	if err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	goCommand, err := exec.LookPath("go")
	if err != nil {
		_, err := fmt.Fprintf(stdout, "there is no go command here to open it; it is in %s\n", file)
		return err
	}
	defer os.RemoveAll(dir)
	defer removeAtEnd(dir)()
	cmd := exec.Command(goCommand, append(append([]string{"tool", tool}, flags...), file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	// Ctrl-C is for the tool. (To ignore it here would have the tool inherit that.)
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return statusError{status: exit.ExitCode()}
	}
	return err
}

// removeAtEnd has a folder removed if a signal ends the process, until stop is
// called.
func removeAtEnd(dir string) (stop func()) {
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

// fetch runs a line whose output goes into a new file.
func fetch(t target, o connectOptions, line, file string, stderr io.Writer) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = command(t, o, line, f, stderr)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
