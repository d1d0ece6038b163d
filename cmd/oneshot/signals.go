//go:build linux

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/procfs"
)

const signalsHelp = `usage: oneshot signals PID|MASK [PID|MASK]

Shows signal masks as names. MASK is one as the kernel prints it in
/proc/PID/status and ps -o pending,blocked,ignored,caught (0x4b813efb; without the
0x where it has 16 digits or one of a to f), the same in decimal (1266761467), or
names (USR1,TERM). A decimal number that is the pid of a living process is that
process; with 0x in front it is a mask.

	oneshot signals 0x4b813efb
	oneshot signals $(ps -o caught= -p 4321)

Of a process all masks are shown, and the threads that differ:

	SigPnd, ShdPnd   pending for the main thread, for the process
	SigBlk           blocked, by the main thread
	SigIgn, SigCgt   ignored, caught

Where a process has most of them, those that are missing are named (all but ...).

The Go runtime catches nearly every signal itself, so that SigCgt of a Go program
says little. Which signals it really listens to is read from the thread that the
runtime keeps for them.

With two, each mask shows what only the first has, only the second, and both:

	oneshot signals 4321 5432
`

func runSignals(args []string, stdout, _ io.Writer) error {
	rest, err := parseSubcommand("signals", signalsHelp, args, stdout, func(*flag.FlagSet) {})
	switch {
	case errors.Is(err, errHelp):
		return nil
	case err != nil:
		return err
	case len(rest) == 0 || len(rest) > 2:
		return usageError{"signals: give one PID or MASK, or two to compare, such as oneshot signals 4321 0x4b813efb"}
	}
	w := &signalWriter{w: stdout}
	var subjects []*signalSubject
	for _, arg := range rest {
		s, err := parseSubject(arg)
		if err != nil {
			return err
		}
		subjects = append(subjects, s)
	}
	for _, s := range subjects {
		if s.note != "" {
			w.printf("%s\n", s.note)
		}
	}
	if len(subjects) == 1 {
		w.show(subjects[0])
	} else {
		w.compare(subjects[0], subjects[1])
	}
	return w.err
}

// signalSubject is a process or a mask.
type signalSubject struct {
	name string // how it is called
	note string // how the argument was understood, where that may surprise
	mask oneshot.SignalSet

	proc    *discovery.Process // nil: it is a mask
	goIs    goState
	rows    []signalRow
	threads []signalThread // the main thread first
	listens listening
}

// signalRow is one mask of a process.
type signalRow struct {
	name, what string
	set        oneshot.SignalSet
}

var signalRows = []signalRow{
	{name: "SigPnd", what: "pending, main thread"},
	{name: "ShdPnd", what: "pending, process"},
	{name: "SigBlk", what: "blocked, main thread"},
	{name: "SigIgn", what: "ignored"},
	{name: "SigCgt", what: "caught"},
}

// parseSubject reads an argument: a process if it is the pid of one, else a
// mask.
func parseSubject(arg string) (*signalSubject, error) {
	set, parseErr := oneshot.ParseSignalSet(arg)
	// Sixteen digits are a mask even without a letter.
	if pid, err := strconv.ParseInt(arg, 10, 32); err == nil && pid > 0 && len(arg) < 16 {
		s, err := readSubject(int(pid))
		if err == nil {
			s.note = fmt.Sprintf("%d was taken as a pid; for the mask write 0x%x", pid, pid)
			return s, nil
		}
		if !errors.Is(err, discovery.ErrNoProcess) {
			return nil, err
		}
		if parseErr == nil {
			return &signalSubject{name: maskText(set), mask: set, note: fmt.Sprintf("%d was taken as a mask: it is not the pid of a living process", pid)}, nil
		}
	}
	if parseErr != nil {
		return nil, usageError{"signals: " + strings.TrimPrefix(parseErr.Error(), "oneshot: ")}
	}
	return &signalSubject{name: maskText(set), mask: set}, nil
}

func maskText(set oneshot.SignalSet) string { return fmt.Sprintf("0x%016x", uint64(set)) }

// readSubject reads the masks of a process and its threads.
func readSubject(pid int) (*signalSubject, error) {
	p, err := discovery.Read(pid)
	goIs := goYes
	switch {
	case errors.Is(err, discovery.ErrNotPermitted):
		goIs = goUnknown
	case err != nil:
		return nil, err
	case !p.IsGo:
		goIs = goNo
	}
	s := &signalSubject{name: fmt.Sprintf("process %d", pid), proc: p, goIs: goIs}
	dir := "/proc/" + strconv.Itoa(pid)
	status, err := procfs.ReadStatus(dir)
	if err != nil {
		return nil, ended(pid, err)
	}
	for _, row := range signalRows {
		mask, err := status.Mask(row.name)
		if err != nil {
			return nil, fmt.Errorf("process %d: %w", pid, err)
		}
		row.set = oneshot.SignalSet(mask)
		s.rows = append(s.rows, row)
	}
	if s.threads, err = readSignalThreads(pid); err != nil {
		return nil, ended(pid, err)
	}
	if start, err := procfs.StartTime(dir); err != nil || start != p.Start {
		return nil, fmt.Errorf("process %d: %w", pid, cmp.Or(err, discovery.ErrNoProcess))
	}
	if goIs == goYes {
		s.listens = findListening(s.threads)
	}
	return s, nil
}

func ended(pid int, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		err = discovery.ErrNoProcess
	}
	return fmt.Errorf("process %d: %w", pid, err)
}

func (s *signalSubject) row(name string) oneshot.SignalSet {
	for _, row := range s.rows {
		if row.name == name {
			return row.set
		}
	}
	return 0
}
