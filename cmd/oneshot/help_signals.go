//go:build linux && !oneshot_noproc

package main

const signalsHelp = `usage: oneshot signals [-json] PID|MASK [PID|MASK]

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
` + linesHelp
