package command

import (
	"context"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// memoryCommands are the commands about the heap and the garbage collector. They
// read runtime/metrics, which does not stop the program as runtime.ReadMemStats
// does.
var memoryCommands = []*Command{
	{
		Name: "mem", Summary: "show the heap, the limits and the collector, without stopping the program",
		Help: "It reads runtime/metrics." + jsonHelp, Flags: []string{jsonFlag},
		Run: answers(NoArgs(findMem)),
	},
	{
		Name: "gc", Summary: "run the garbage collector now, and show what it freed",
		Help:  "It returns when the collection is complete (runtime.GC). The program runs meanwhile." + jsonHelp,
		Flags: []string{jsonFlag},
		Run:   answers(NoArgs(findGC)),
	},
}

// memAnswer is the answer of mem.
type memAnswer struct {
	document.Head
	document.Mem
}

func findMem(context.Context, Session) (Answer, error) {
	return &memAnswer{document.Of("mem"), memOf(vitals.Read())}, nil
}

// memOf returns the memory of this process, at about the time of a sample.
func memOf(s vitals.Sample) document.Mem {
	m := document.Mem{
		Heap: s.HeapObjects, Live: s.LiveHeap, Stacks: s.Stacks, InUse: s.InUse(), Released: s.Released,
		Cycles: s.Cycles, Goal: s.HeapGoal, GOGC: gogcText(s.GOGC),
	}
	m.Resident, _ = procfs.ResidentBytes("/proc/self") // zero if it is not known
	if s.Limit < vitals.NoLimit {
		m.Limit = s.Limit
	}
	return m
}

// Text implements Answer.
func (a *memAnswer) Text(t *dump.Writer) {
	left := "no collection has ended yet"
	if a.Live > 0 {
		left = "the last collection left " + vitals.Bytes(a.Live)
	}
	t.Printf("heap in use  %s; %s\n", vitals.Bytes(a.Heap), left)
	t.Printf("stacks       %s\n", vitals.Bytes(a.Stacks))
	t.Printf("from system  %s, not counting %s given back\n", vitals.Bytes(a.InUse), vitals.Bytes(a.Released))
	if a.Resident > 0 {
		t.Printf("resident     %s\n", vitals.Bytes(a.Resident))
	}
	t.Printf("collector    %s, the next at a heap of %s\n", plaintext.Plural(int(a.Cycles), "cycle"), vitals.Bytes(a.Goal))
	limit := "none"
	if a.Limit > 0 {
		limit = vitals.Bytes(a.Limit)
	}
	t.Printf("settings     GOGC %s, memory limit %s\n", a.GOGC, limit)
}

// gcAnswer is the answer of gc.
type gcAnswer struct {
	document.Head
	Seconds float64 `json:"seconds"`
	Freed   uint64  `json:"freed_bytes"`
	Heap    uint64  `json:"heap_bytes"`
}

func findGC(context.Context, Session) (Answer, error) {
	before := vitals.Read()
	runtime.GC()
	after := vitals.Read()
	return &gcAnswer{document.Of("gc"), after.At.Sub(before.At).Seconds(), after.Freed - before.Freed, after.HeapObjects}, nil
}

// Text implements Answer.
func (a *gcAnswer) Text(t *dump.Writer) {
	t.Printf("collected in %v; freed %s; heap in use %s\n",
		seconds(a.Seconds).Round(10*time.Microsecond), vitals.Bytes(a.Freed), vitals.Bytes(a.Heap))
}

// seconds returns a number of seconds as a duration.
func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// freedAnswer is the answer of freeosmem.
type freedAnswer struct {
	document.Head
	Seconds float64      `json:"seconds"`
	Was     document.Mem `json:"was"`
	Is      document.Mem `json:"is"`
}

func findFreeOSMem(context.Context, Session) (Answer, error) {
	before := vitals.Read()
	was := memOf(before)
	debug.FreeOSMemory()
	after := vitals.Read()
	return &freedAnswer{document.Of("freeosmem"), after.At.Sub(before.At).Seconds(), was, memOf(after)}, nil
}

// Text implements Answer.
func (a *freedAnswer) Text(t *dump.Writer) {
	resident := func(n uint64) string {
		if n == 0 {
			return "not known"
		}
		return vitals.Bytes(n)
	}
	t.Printf("it took %v\nheap in use  was %s, is %s\nfrom system  was %s, is %s\nresident     was %s, is %s\n",
		seconds(a.Seconds).Round(10*time.Microsecond),
		vitals.Bytes(a.Was.Heap), vitals.Bytes(a.Is.Heap), vitals.Bytes(a.Was.InUse), vitals.Bytes(a.Is.InUse),
		resident(a.Was.Resident), resident(a.Is.Resident))
}
