//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/top"
)

// This file: how top looks again and again, and draws.

// show looks and draws until the person ends it, or a number of times.
func (w *watched) show(stdout io.Writer, out *os.File, onTerminal bool, every time.Duration, frames int) error {
	ended := make(chan error, 1)
	end := func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	resized := make(chan os.Signal, 1)
	draw := func(lines []string) error {
		_, err := io.WriteString(stdout, strings.Join(lines, "\n")+"\n\n")
		return err
	}
	size := func() (int, int) { return 200, 200 }
	if onTerminal {
		restore, err := takeScreen(out)
		if err != nil {
			return err
		}
		defer restore()
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
		go func() { readQuit(os.Stdin, end) }()
		size = func() (int, int) {
			width, height, err := term.GetSize(int(out.Fd()))
			if err != nil || width <= 0 || height <= 0 {
				return 80, 24
			}
			return width, height
		}
		draw = func(lines []string) error { return drawScreen(out, lines) }
	}
	screen := top.NewScreen(w.title())
	looks := make(chan top.Sample)
	stop := make(chan struct{})
	defer close(stop)
	go func() { w.lookAgainAndAgain(every, looks, stop, end) }()
	for n := 0; ; {
		select {
		case err := <-ended:
			return err
		case <-signals:
			return nil
		case <-resized:
		case s := <-looks:
			n++
			screen.Add(s)
		}
		if n == 0 {
			continue
		}
		if err := draw(screen.Draw(size())); err != nil || frames > 0 && n == frames {
			return err
		}
	}
}

// lookAgainAndAgain looks until stop is closed. While a look lasts, the screen can be
// left.
func (w *watched) lookAgainAndAgain(every time.Duration, looks chan<- top.Sample, stop <-chan struct{}, end func(error)) {
	for {
		began := time.Now()
		s, err := w.sample()
		if err != nil {
			end(err)
			return
		}
		took := time.Since(began)
		select {
		case looks <- s:
		case <-stop:
			return
		}
		select {
		case <-time.After(max(every-took, (lookShare-1)*took)):
		case <-stop:
			return
		}
	}
}

// readQuit reads the keyboard and ends top when the person wants it.
func readQuit(in io.Reader, end func(error)) {
	var key [64]byte
	for {
		n, err := in.Read(key[:])
		if err != nil || bytes.ContainsAny(key[:n], "qQ\x03\x04") {
			end(nil)
			return
		}
	}
}

// The sequences for a terminal (ECMA-48, and xterm's for the second screen).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the second screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	eraseRight  = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// takeScreen switches the terminal to raw mode and to its second screen. restore brings
// back what was there.
func takeScreen(out *os.File) (restore func(), err error) {
	in := int(os.Stdin.Fd())
	before, err := term.MakeRaw(in)
	if err != nil {
		return nil, fmt.Errorf("the terminal: %w", err)
	}
	if _, err := io.WriteString(out, enterScreen); err != nil {
		_ = term.Restore(in, before)
		return nil, err
	}
	return func() {
		_, _ = io.WriteString(out, leaveScreen)
		_ = term.Restore(in, before)
	}, nil
}

// drawScreen draws the lines, which have been escaped, over what is on the screen.
func drawScreen(out io.Writer, lines []string) error {
	var b strings.Builder
	b.WriteString(home)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(display.EscapeLine(line) + eraseRight)
	}
	b.WriteString(eraseBelow)
	_, err := io.WriteString(out, b.String())
	return err
}
