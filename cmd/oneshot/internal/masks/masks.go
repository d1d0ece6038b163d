//go:build unix

// Package masks reads the signal masks of processes and prints them as names. For a
// Go program it also finds out which signals the program listens to. It only reads
// /proc: it must not send signals, and it does not know what opens a manhole. Where there
// is no /proc, it prints masks, but not those of processes.
package masks

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/discovery"
)

// SyntaxError is the error for an argument that is neither a pid nor a mask.
type SyntaxError struct{ text string }

func (e *SyntaxError) Error() string { return e.text }

// Print writes the masks of a process, or the names of the signals in a mask, to w.
// arg is a process if it is the pid of a living one, otherwise a mask in one of the
// forms of oneshot.ParseSignalSet. A wrong arg is a *SyntaxError.
func Print(w io.Writer, arg string) error {
	s, err := parse(arg)
	if err != nil {
		return err
	}
	p := &printer{w: w}
	p.note(s)
	p.subject(s)
	return p.err
}

// Compare writes the differences between two processes or masks to w. The arguments
// are those of Print. A mask is compared with every mask of a process.
func Compare(w io.Writer, first, second string) error {
	a, err := parse(first)
	if err != nil {
		return err
	}
	b, err := parse(second)
	if err != nil {
		return err
	}
	p := &printer{w: w}
	p.note(a)
	p.note(b)
	p.compare(a, b)
	return p.err
}

// subject is a process or a mask.
type subject struct {
	name string
	note string // how the argument was understood, if that may be a surprise
	mask oneshot.SignalSet

	proc      *discovery.Process // nil for a mask
	kind      programKind
	rows      []row
	threads   []thread // the main thread first
	listening listening
}

// programKind says whether a process is a Go program.
type programKind int

const (
	otherProgram programKind = iota
	goProgram
	unknownProgram
)

func (k programKind) String() string {
	switch k {
	case goProgram:
		return "a Go program"
	case unknownProgram:
		return "no permission to read whether it is a Go program"
	}
	return "not a Go program"
}

// row is one mask of a process.
type row struct {
	name, meaning string
	set           oneshot.SignalSet
}

var processRows = []row{
	{name: "SigPnd", meaning: "pending, main thread"},
	{name: "ShdPnd", meaning: "pending, process"},
	{name: "SigBlk", meaning: "blocked, main thread"},
	{name: "SigIgn", meaning: "ignored"},
	{name: "SigCgt", meaning: "caught"},
}

// maskDigits is the number of hexadecimal digits of a mask in /proc. An argument of
// this length is a mask, even if all digits are decimal.
const maskDigits = 16

func parse(arg string) (*subject, error) {
	set, maskErr := oneshot.ParseSignalSet(arg)
	mask := &subject{name: fmt.Sprintf("0x%016x", uint64(set)), mask: set}
	if pid, err := strconv.ParseInt(arg, 10, 32); err == nil && pid > 0 && len(arg) < maskDigits {
		s, err := readProcess(int(pid))
		if err == nil {
			return s, nil
		}
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			mask.note = fmt.Sprintf("%d is taken as a mask: the masks of a process can be read on Linux only; on other systems\n"+
				"ps -o pending,blocked,ignored,caught -p %[1]d shows them", pid)
		case errors.Is(err, discovery.ErrNoProcess):
			mask.note = fmt.Sprintf("%d is taken as a mask, because no process has this pid", pid)
		default:
			return nil, err
		}
	}
	if maskErr != nil {
		return nil, &SyntaxError{strings.TrimPrefix(maskErr.Error(), "oneshot: ")}
	}
	return mask, nil
}

// row returns the mask with this name.
func (s *subject) row(name string) oneshot.SignalSet {
	for _, r := range s.rows {
		if r.name == name {
			return r.set
		}
	}
	return 0
}

func (s *subject) isMask() bool { return s.proc == nil }
