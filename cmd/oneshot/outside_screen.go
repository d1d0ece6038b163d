//go:build linux && !oneshot_noproc

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/conns"
	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/exefile"
	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/image/live"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// outsideReading reads the goroutines of a running process.
type outsideReading struct {
	reading
	io.Closer
}

// read prepares the reading of the goroutines. The caller calls Close.
func (o *outsider) read() (*outsideReading, error) {
	v := vitals.Another{PID: o.PID, Process: o.process}
	e := &liveEvidence{tick: monotonic, vitals: func() vitals.Sample {
		s, _, _ := v.Read() // zero if the process has ended, which the next look reports
		return s
	}}
	e.Before = e.vitals()
	process, err := live.Open(o.PID)
	if err != nil {
		return nil, o.explain(err)
	}
	executable, file := process.Executable()
	// Opening passes over memory that cannot be read, so the right to read is tried first.
	var program *image.Program
	if err = process.Read(executable.Entry+process.Bias(), make([]byte, 1)); err == nil {
		program, err = image.Open(process, executable, file, process.Bias(), nil)
	}
	if err != nil {
		process.Close()
		return nil, o.explain(err)
	}
	e.Descriptors, _ = v.Descriptors() // zero if it is not known
	e.Kinds = v.Kinds
	e.FullPipe = o.fullPipe
	e.Conns = func() []conns.Conn { return conns.Of(o.process) }
	return &outsideReading{reading{program: program, live: e, process: o.document(program.Build)}, process}, nil
}

// explain returns the error for a process whose memory cannot be read.
func (o *outsider) explain(err error) error {
	switch {
	case hasEnded(err):
		return errHasEnded(o.PID)
	case errors.Is(err, fs.ErrPermission):
		return explainRights(o.Process, err)
	}
	// It may quote what the executable says, for example a release of a megabyte.
	return fmt.Errorf("process %d: %s", o.PID, plaintext.Clip(err.Error(), maxQuoted))
}

// fullPipe reports whether a descriptor of the process is a pipe without free space.
func (o *outsider) fullPipe(fd int) (full bool) {
	d, ok := o.process.ReadDescriptor(fd)
	if !ok || d.Kind != "pipe" && d.Kind != "fifo" {
		return false
	}
	_ = o.process.WithCopy(fd, func(own int) { full = dump.FullPipe(own) }) // not known: not full
	return full
}

// measured is the time over which the CPU use is measured. The kernel tells the parts
// of it in steps of 10 ms.
const measured = 200 * time.Millisecond

// firstScreen writes what a session shows first, as far as it can be known from
// outside.
func (o *outsider) firstScreen(flush func() error, c readCommand) error {
	v := vitals.Another{PID: o.PID, Process: o.process}
	before, _, err := v.Read()
	if err != nil {
		return o.explain(err)
	}
	info, err := o.buildInfo()
	if err != nil {
		return err
	}
	text := o.stdout
	if c.Show != command.AsText {
		text = io.Discard
	}
	if err := o.identity(text, info, flush); err != nil {
		return err
	}
	screen := command.Outside{Before: before, Cgroup: procfs.ReadCgroup(o.process.Dir)}
	r, readErr := o.read()
	if readErr == nil {
		defer r.Close()
		if screen.Goroutines, readErr = r.look(); readErr != nil {
			readErr = o.explain(readErr)
		}
	}
	time.Sleep(measured - time.Since(before.At))
	if screen.Now, screen.Memory, err = v.Read(); err != nil {
		return o.explain(err)
	}
	screen.Descriptors, _ = v.Descriptors() // zero if it is not known
	screen.Write(text)
	if err := errors.Join(flush(), readErr); err != nil {
		return err
	}
	r.vitals = screen.Document()
	return r.show(o.stdout, c, nil, screen.Goroutines)
}

// document returns what a JSON document says about the process.
func (o *outsider) document(info *debug.BuildInfo) document.Process {
	name, arch := o.program(info)
	return command.ProcessOf(o.process, name, o.PID, info, info.GoVersion, "linux", arch)
}

// program returns the name of the program's file, and its architecture.
func (o *outsider) program(info *debug.BuildInfo) (name, arch string) {
	name, arch = "a Go program", "unknown"
	if file, err := os.Readlink(o.process.Dir + "/exe"); err == nil {
		name = filepath.Base(strings.TrimSuffix(file, " (deleted)"))
	}
	for _, s := range info.Settings {
		if s.Key == "GOARCH" {
			arch = s.Value
		}
	}
	return name, arch
}

// identity writes which program it is, since when it runs, and whose it is.
func (o *outsider) identity(w io.Writer, info *debug.BuildInfo, flush func() error) error {
	name, arch := o.program(info)
	line := strings.TrimSuffix(command.Identity(name, o.PID, info, info.GoVersion, "linux", arch), "\n")
	fmt.Fprintln(w, display.EscapeLine(plaintext.Clip(line, maxQuoted)))
	if up := procfs.Uptime(o.Start); up > 0 {
		fmt.Fprintf(w, "up %v; ", up.Round(time.Second))
	}
	flag := ""
	if o.Notice != nil {
		flag = "-outside " // otherwise its manhole answers
	}
	fmt.Fprintf(w, "it is of uid %d; oneshot %s%d help lists the commands\n", o.EUID, flag, o.PID)
	return flush()
}

// build writes how the program was built.
func (o *outsider) build(args []string) error {
	args, form := command.CutJSON(args)
	if len(args) > 0 {
		return usageError{"build takes no arguments"}
	}
	info, err := o.buildInfo()
	if err != nil {
		return err
	}
	return command.Show(context.Background(), o.stdout, command.BuildOf(info), form)
}

// buildInfo reads the build information of the file that the process runs, even if
// another one is at its path now.
func (o *outsider) buildInfo() (*debug.BuildInfo, error) {
	file, err := os.Open(o.process.Dir + "/exe")
	if err != nil {
		return nil, o.explain(err)
	}
	defer file.Close()
	info, err := exefile.BuildInfo(file)
	if err != nil {
		return nil, o.explain(err)
	}
	return info, nil
}

// monotonic returns the clock that the runtimes of all processes use (nanotime).
func monotonic() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return now.Nano()
}
