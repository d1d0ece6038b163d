//go:build linux

package main

import (
	"errors"
	"flag"
	"io"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/masks"
)

const signalsHelp = `usage: oneshot signals PID|MASK [PID|MASK]

Shows signal masks as names. MASK can be a mask as the kernel prints it in
/proc/PID/status and in ps -o pending,blocked,ignored,caught (0x4b813efb; it needs
no 0x if it has 16 digits or contains one of a to f), the same mask in decimal
(1266761467), or a list of names (USR1,TERM). A decimal number that is the pid of a
living process means that process; write a mask with 0x to avoid this.

	oneshot signals 0x4b813efb
	oneshot signals $(ps -o caught= -p 4321)

For a process it shows all masks, and the threads whose masks differ from those of
the main thread:

	SigPnd, ShdPnd   pending for the main thread, for the process
	SigBlk           blocked by the main thread
	SigIgn, SigCgt   ignored, caught

If a mask has most of the signals, the missing ones are shown (all but ...).

The Go runtime catches nearly every signal itself, so SigCgt of a Go program says
little. The signals that the program really listens to are read from the mask of the
thread that the runtime keeps for signals.

With two arguments it shows, for each mask, the signals that only the first has, that
only the second has, and that both have:

	oneshot signals 4321 5432
`

func runSignals(args []string, stdout, _ io.Writer) error {
	rest, err := parseFlags("signals", args, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	switch len(rest) {
	case 1:
		err = masks.Print(stdout, rest[0])
	case 2:
		err = masks.Compare(stdout, rest[0], rest[1])
	default:
		return usageError{"signals: give one PID or MASK, or two to compare, such as oneshot signals 4321 0x4b813efb"}
	}
	var syntax *masks.SyntaxError
	if errors.As(err, &syntax) {
		return usageError{"signals: " + syntax.Error()}
	}
	return err
}
