//go:build linux

// Package masks reads the signal masks of processes and prints them as names. For a
// Go program it also finds out which signals the program listens to. It only reads
// /proc: it must not send signals, and it does not know what opens a manhole.
package masks

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/procfs"
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
		if !errors.Is(err, discovery.ErrNoProcess) {
			return nil, err
		}
		mask.note = fmt.Sprintf("%d is taken as a mask, because no process has this pid", pid)
	}
	if maskErr != nil {
		return nil, &SyntaxError{strings.TrimPrefix(maskErr.Error(), "oneshot: ")}
	}
	return mask, nil
}

// readProcess reads the masks of a process and its threads.
func readProcess(pid int) (*subject, error) {
	p, err := discovery.Read(pid)
	s := &subject{name: fmt.Sprintf("process %d", pid), proc: p, kind: goProgram}
	switch {
	case errors.Is(err, discovery.ErrNotPermitted):
		s.kind = unknownProgram
	case err != nil:
		return nil, err
	case !p.IsGo:
		s.kind = otherProgram
	}
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := procfs.ReadStatus(dir)
	if err != nil {
		return nil, processError(pid, err)
	}
	for _, r := range processRows {
		mask, err := status.Mask(r.name)
		if err != nil {
			return nil, processError(pid, err)
		}
		r.set = oneshot.SignalSet(mask)
		s.rows = append(s.rows, r)
	}
	if s.threads, err = readThreads(pid); err != nil {
		return nil, processError(pid, err)
	}
	// If the start time has changed, another process has the pid now.
	if start, err := procfs.StartTime(dir); err != nil || start != p.Start {
		return nil, processError(pid, cmp.Or(err, discovery.ErrNoProcess))
	}
	if s.kind == goProgram {
		s.listening = findListening(s.threads)
	}
	return s, nil
}

func processError(pid int, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		err = discovery.ErrNoProcess
	}
	return fmt.Errorf("process %d: %w", pid, err)
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
