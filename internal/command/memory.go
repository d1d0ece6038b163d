package command

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// memoryCommands are the commands about the heap and the garbage collector. They
// read runtime/metrics, which does not stop the program as runtime.ReadMemStats
// does.
var memoryCommands = []*Command{
	{
		Name: "mem", Summary: "show the heap, the limits and the collector, without a stop of the program",
		Run: NoArgs(runMem),
	},
	{
		Name: "gc", Summary: "run the garbage collector now, and show what it freed",
		Help: "It returns when the collection is complete (runtime.GC). The program runs meanwhile.",
		Run:  NoArgs(runGC),
	},
}

func runMem(_ context.Context, s Session) error {
	m := vitals.Read()
	fmt.Fprintf(s, "heap in use  %s; the last collection left %s\n", vitals.Bytes(m.HeapObjects), vitals.Bytes(m.LiveHeap))
	fmt.Fprintf(s, "stacks       %s\n", vitals.Bytes(m.Stacks))
	fmt.Fprintf(s, "from system  %s, not counting %s given back\n", vitals.Bytes(m.InUse()), vitals.Bytes(m.Released))
	if resident, err := procfs.ResidentBytes("/proc/self"); err == nil {
		fmt.Fprintf(s, "resident     %s\n", vitals.Bytes(resident))
	}
	fmt.Fprintf(s, "collector    %d cycles, the next at a heap of %s\n", m.Cycles, vitals.Bytes(m.HeapGoal))
	limit := "none"
	if m.Limit < vitals.NoLimit {
		limit = vitals.Bytes(m.Limit)
	}
	fmt.Fprintf(s, "settings     GOGC %s, memory limit %s\n", gogcText(m.GOGC), limit)
	return nil
}

func runGC(_ context.Context, s Session) error {
	before := vitals.Read()
	runtime.GC()
	after := vitals.Read()
	fmt.Fprintf(s, "collected in %v; freed %s; heap in use %s\n",
		after.At.Sub(before.At).Round(10*time.Microsecond), vitals.Bytes(after.Freed-before.Freed), vitals.Bytes(after.HeapObjects))
	return nil
}
