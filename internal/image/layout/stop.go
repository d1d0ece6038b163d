package layout

import "strings"

// Stop says how a goroutine has last stopped running.
type Stop uint8

// The ways to stop.
const (
	Preempted Stop = iota // the runtime took the CPU from it, as from an endless loop every 10 ms; or it has not stopped yet
	Yielded               // it let others run
	Called                // it made a system call, or the runtime stopped it in a call
	Waited                // it waits for something, or has waited
)

// StopIn returns how a goroutine has stopped whose saved program counter is the return
// address of a call in a function, which may be inlined into another. All waits are in
// gopark. For a preemption, the runtime inserts a call of asyncPreempt, or has the prologue
// of a function of the program stop it.
func StopIn(function string) Stop {
	switch {
	case function == "runtime.gopark":
		return Waited
	case function == "runtime.asyncPreempt2":
		return Preempted
	case function == "runtime.Gosched", function == "runtime.goyield":
		return Yielded
	case strings.HasPrefix(function, "runtime."), strings.HasPrefix(function, "syscall."):
		return Called
	}
	return Preempted
}
