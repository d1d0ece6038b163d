// Package core opens an ELF core file of a Go program: one that the kernel wrote
// when the program died (GOTRACEBACK=crash), one of gcore, or one that coredumpctl
// gives out. It knows linux/amd64 and linux/arm64.
//
// A Core is a memory for the reader of goroutines. It also tells which signal ended
// the program, the registers of its threads, its command line and its executable.
//
// A core file is data from an enemy: every number in it is checked against the size of
// the file and against a bound.
//
// The package knows nothing about the Go runtime.
package core

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Errors that a caller may test for.
var (
	// ErrNotCore is the error for a file that is no core file, or one of another
	// system or architecture.
	ErrNotCore = errors.New("not a core file of a program for linux/amd64 or linux/arm64")
	// ErrNotThere is the error for memory that the core does not contain.
	ErrNotThere = errors.New("the core does not contain this memory")
)

// Core is an open core file.
type Core struct {
	Arch       string   // as in GOARCH
	PID        int      // the process
	Name       string   // the name of its first thread, at most 15 bytes
	Args       []string // its command line; shortened if ArgsCut
	ArgsCut    bool     // only the first bytes of the command line are known
	Executable string   // the path of the program's file when it ran; may be empty
	Signal     Signal   // what ended it; zero for a core of a program that went on
	Threads    []Thread // the thread that the signal came to is the first
	Entry      uint64   // the address at which the program began; 0 if unknown
	Remarks    []string // what is missing or wrong with the core, one sentence each

	file    io.ReaderAt
	size    int64
	regions []region // sorted, without overlaps
	files   []mapping
	auxv    auxv
	rawAuxv []byte
	program io.ReaderAt // the executable
	closers []io.Closer
}

// Thread is a thread of the program.
type Thread struct {
	TID       int // as the thread saw it itself; gcore from outside a container gives the host's
	Signal    int
	Registers Registers
}

// Registers are the registers that unwinding a stack begins with.
type Registers struct {
	PC, SP, BP uint64
	LR         uint64 // arm64 only
	G          uint64 // the register of the current goroutine; valid while Go code runs
}

// Open opens a core file. The caller must call Close.
//
// A truncated core is opened as far as it goes: Remarks tells about it.
func Open(path string) (*Core, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var c *Core
		if c, err = New(f, info.Size()); err == nil {
			c.closers = append(c.closers, f)
			return c, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("%s: %w", path, err)
}

// New reads a core file of size bytes from r, which must stay usable.
func New(r io.ReaderAt, size int64) (*Core, error) {
	c := &Core{file: r, size: size}
	h, err := readHeader(r, size)
	if err != nil {
		return nil, err
	}
	c.Arch = h.arch
	segments, err := h.segments(r, size)
	if err != nil {
		return nil, err
	}
	c.addSegments(segments)
	if err := c.readNotes(segments); err != nil {
		return nil, err
	}
	if len(c.Threads) == 0 {
		c.remark("The core has no thread: it is incomplete or not of a process.")
	}
	c.Entry = c.auxv[atEntry]
	c.findExecutable()
	c.findArgs()
	return c, nil
}

// Close closes the files.
func (c *Core) Close() error {
	var errs []error
	for _, f := range c.closers {
		errs = append(errs, f.Close())
	}
	c.closers = nil
	return errors.Join(errs...)
}

func (c *Core) remark(format string, args ...any) {
	const most = 20
	if len(c.Remarks) < most {
		c.Remarks = append(c.Remarks, fmt.Sprintf(format, args...))
	}
}

// openRegular opens a file for reading if it is a regular one. The type is checked
// before the open: opening a device can have an effect, and opening a FIFO waits.
func openRegular(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|nonblock, 0)
	if err != nil {
		return nil, err
	}
	now, err := f.Stat()
	if err != nil || !os.SameFile(info, now) {
		f.Close()
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return f, nil
}
