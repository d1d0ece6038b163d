//go:build linux || darwin || freebsd

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/term"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/difference"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/terminal"
	"github.com/gomanhole/oneshot/internal/protocol"
)

// session runs a session, with a person if there is a terminal.
func session(t target, o connectOptions, stdin, stdout *os.File) error {
	conn, err := connect(t, o, noFrames)
	if err != nil {
		return err
	}
	defer conn.Close()
	if term.IsTerminal(int(stdin.Fd())) && term.IsTerminal(int(stdout.Fd())) {
		return terminal.Interact(conn, stdin, stdout)
	}
	if !term.IsTerminal(int(stdout.Fd())) {
		return pipe(conn, stdin, stdout)
	}
	screen := display.NewScreen(stdout)
	err = pipe(conn, stdin, display.WithoutProgress(display.TextOnly(screen)))
	return errors.Join(err, screen.Flush())
}

// runLine runs one line. The error has the exit status of the command. If stdout is a
// terminal, it shows text only. If stderr is one, it shows the progress. The errors of the
// command go to errs.
func runLine(t target, o connectOptions, line string, stdout, stderr, errs io.Writer) error {
	if strings.ContainsAny(line, "\n"+string(rune(protocol.Interrupt))) {
		return usageError{"a command must be a single line"}
	}
	var wishes protocol.Wishes
	if file, ok := stdout.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		screen := display.NewScreen(file)
		defer screen.Flush()
		wishes.Text, stdout = true, display.TextOnly(screen)
	}
	var progress display.Progress
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		wishes.Progress = true
		progress = display.Progress{Terminal: file, Width: func() int { return columns(file) }}
	}
	conn, err := connect(t, o, frames(wishes))
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

	status, err := readAnswer(conn, stdout, errs, &progress)
	progress.Clear()
	switch {
	case errors.Is(err, syscall.EPIPE): // oneshot PID stacks | head
		return statusError{status: statusFailed}
	case errors.Is(err, display.ErrBinary):
		return fmt.Errorf("%w; to save it, write > FILE behind the command", err)
	case err != nil:
		return fmt.Errorf("%s: %w", t, err)
	case status != 0:
		return statusError{status: status}
	}
	return nil
}

// passInterrupts stops the running command on Ctrl-C. A second Ctrl-C closes the
// connection.
func passInterrupts(conn *net.UnixConn, interrupts <-chan os.Signal, done <-chan struct{}) {
	const interrupt = protocol.Interrupt
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
		_, _ = conn.Write([]byte{interrupt}) // readAnswer reports a broken connection
	}
}

// columns returns the width of a terminal, or 80 if it is not known.
func columns(terminal *os.File) int {
	if width, _, err := term.GetSize(int(terminal.Fd())); err == nil && width > 0 {
		return width
	}
	return 80
}

// progressLine shows what a command says about its progress.
type progressLine interface {
	Show(text string)
	Clear()
}

// readAnswer copies the frames of an answer to stdout and stderr and returns the exit
// status. If a profile comes with a base, it writes the difference to stdout.
func readAnswer(r io.Reader, stdout, stderr io.Writer, progress progressLine) (int, error) {
	return readAnswerWithCost(r, stdout, stderr, progress, func(string) {})
}

// readAnswerWithCost is readAnswer for one of many commands of a session. cost is called with
// the payload of a frame of that kind.
func readAnswerWithCost(r io.Reader, stdout, stderr io.Writer, progress progressLine, cost func(string)) (int, error) {
	in := bufio.NewReader(r)
	if first, err := in.Peek(1); err == nil && first[0] >= ' ' {
		// Not a frame: the manhole refuses a client in plain text.
		text, _ := io.ReadAll(io.LimitReader(in, 4<<10))
		return 0, errors.New(strings.TrimPrefix(strings.TrimSpace(display.Escape(string(text))), "oneshot: "))
	}
	frames := protocol.NewReader(in)
	var base, profile bytes.Buffer
	for {
		kind, payload, err := frames.Next()
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed):
			return 0, errors.New("the answer is incomplete: the program or the session has ended")
		case err != nil:
			return 0, err
		case base.Len()+profile.Len() > 2*difference.MaxBytes:
			return 0, errors.New("the profile is too large")
		case kind == protocol.Progress:
			progress.Show(string(payload))
			continue
		case kind == protocol.Cost:
			cost(string(payload))
			continue
		}
		progress.Clear()
		switch {
		case kind == protocol.Base:
			base.Write(payload)
		case kind == protocol.Output && base.Len() > 0:
			profile.Write(payload)
		case kind == protocol.Output:
			if _, err := stdout.Write(payload); err != nil {
				return 0, err
			}
		case kind == protocol.Error:
			_, _ = io.WriteString(stderr, display.Escape(string(payload)))
		case kind == protocol.End:
			status, err := strconv.ParseUint(string(payload), 10, 8)
			if err != nil {
				return 0, fmt.Errorf("the answer has the invalid exit status %.20q", payload)
			}
			if (status == 0 || status == statusInterrupted) && base.Len() > 0 {
				err = difference.Write(stdout, base.Bytes(), profile.Bytes())
			}
			return int(status), err
		}
	}
}
