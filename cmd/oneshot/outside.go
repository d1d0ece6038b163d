//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/image/live"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/shellwords"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// readFromOutside reports whether a process must be read from outside: it is a Go
// program without a manhole, or the person wants it. With a signal or with -n, the
// person wants the manhole.
func readFromOutside(t target, o connectOptions) (*discovery.Process, bool) {
	if t.pid == 0 || t.path != "" {
		return nil, false
	}
	p, err := discovery.Read(t.pid)
	if err != nil || !p.IsGo {
		return nil, false
	}
	return p, o.outside || p.Notice == nil && o.signal == 0 && !o.noSignal
}

// outside runs a command for a process without its help: it reads the process's memory.
// It sends no signal, does not stop the process and writes nothing to it.
func outside(p *discovery.Process, forced bool, words []string, stdout, stderr io.Writer) error {
	if len(words) == 1 { // a line, as for a manhole
		var err error
		if words, err = shellwords.Split(words[0]); err != nil {
			return usageError{err.Error()}
		}
	}
	c, err := parseRead(fmt.Sprintf("process %d", p.PID), words)
	if err != nil {
		return err
	}
	process, err := live.Open(p.PID)
	if err != nil {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	defer process.Close()
	executable, file := process.Executable()
	program, err := image.Open(process, executable, file, process.Bias(), nil)
	if err != nil {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	why := "has no manhole, and is read from outside"
	if forced {
		why = "is read from outside"
	}
	fmt.Fprintf(stderr, "oneshot: process %d %s, without a signal and without a stop\n", p.PID, why)
	out := display.NewScreen(stdout)
	if c.command == "" {
		describe(out, p, program)
	}
	r := &reading{program: program, looks: 3, tick: monotonic}
	return errors.Join(r.run(out, c), out.Flush())
}

// describe writes which program it is.
func describe(w io.Writer, p *discovery.Process, program *image.Program) {
	fmt.Fprintf(w, "%s, pid %d, %s\n", moduleText(program.Build), p.PID, program.Build.GoVersion)
	if resident, err := procfs.ResidentBytes(fmt.Sprintf("/proc/%d", p.PID)); err == nil {
		fmt.Fprintf(w, "resident     %s\n", display.EscapeLine(vitals.Bytes(resident)))
	}
}

// monotonic returns the clock that the runtimes of all processes use (nanotime).
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return now.Nano()
}
