package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"sort"
	"strconv"
	"syscall"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/sigthread"
)

// threadCommands are the commands about threads of the system.
var threadCommands = []*Command{
	{
		Name: "threads", Args: "[-n N]", Summary: "show the threads, those with the most CPU time first",
		Help: "Shows for each thread: state, CPU time in user mode and in the kernel, the last CPU, the kernel function in\n" +
			"which it waits (wchan; - if it runs or if that is not known), its name, and the signals that it blocks if\n" +
			"most threads block others. Look for many threads in state D or in one kernel function. A thread in a futex is\n" +
			"usually an idle thread of the runtime. Which goroutine a thread runs is not known.\n" +
			"  -n N   show the first N threads; the default is 50, and 0 means all" + jsonHelp,
		Flags: []string{"-n", jsonFlag},
		Run:   answers(findThreads),
	},
}

// maxThreads limits how many threads are read. The runtime's own limit is 10,000
// by default (debug.SetMaxThreads).
const maxThreads = 20_000

// thread is one thread of the process.
type thread struct {
	procfs.Thread
	tid   int
	dir   string
	wchan string
}

// threadsAnswer is the answer of threads.
type threadsAnswer struct{ document.Threads }

func findThreads(ctx context.Context, s Session, args []string) (Answer, error) {
	n, err := threadsToShow(args)
	if err != nil {
		return nil, err
	}
	threads, err := readThreads(ctx, s.Process().Dir)
	if err != nil {
		return nil, fmt.Errorf("threads: %w", err)
	}
	a := &threadsAnswer{countThreads(threads)}
	masks := blockedByEach(ctx, threads[:min(max(n, 256), len(threads))]) // with a few threads the most frequent mask would mean little
	usual := mostFrequent(masks)
	if usual != 0 {
		a.Blocks = compactSet(usual)
	}
	for _, th := range threads[:min(n, len(threads))] {
		row := document.Thread{
			TID: th.tid, State: string(rune(th.State)), Word: stateWord(th.State), User: th.User.Seconds(), System: th.System.Seconds(),
			CPU: th.CPU, Wchan: th.wchan, Name: th.Name, Signal: s.IsSignalThread(th.dir),
		}
		if blocked, ok := masks[th.tid]; ok && blocked != usual {
			row.Blocks = compactSet(blocked)
		}
		a.Rows = append(a.Rows, row)
	}
	a.More = len(threads) - len(a.Rows)
	return a, nil
}

// Text implements Answer.
func (a *threadsAnswer) Text(t *dump.Writer) {
	t.Printf("%s: %s\n", plaintext.Plural(a.Count, "thread"), countsText(a.States, " "))
	if len(a.Waits) > 0 {
		t.Printf("they wait in: %s\n", countsText(a.Waits, " "))
	}
	if a.Blocks != "" {
		t.Printf("most block: %s\n", a.Blocks)
	}
	t.Printf("%7s  %-15s %9s %9s  %3s  %-22s %s\n", "tid", "state", "user", "system", "cpu", "wchan", "name")
	for _, th := range a.Rows {
		if t.Ended() {
			return
		}
		notes := ""
		if th.Blocks != "" {
			notes = ", blocks " + th.Blocks
		}
		if th.Signal {
			notes += ", the runtime's thread for signals"
		}
		t.Printf("%7d  %s %-13s %8.2fs %8.2fs  %3d  %-22s %s%s\n", th.TID, th.State, th.Word,
			th.User, th.System, th.CPU, cmp.Or(th.Wchan, "-"), plaintext.Line(th.Name), notes)
	}
	if a.More > 0 {
		t.Printf("%d more: threads -n 0\n", a.More)
	}
}

// threadsToShow returns how many threads the arguments ask for.
func threadsToShow(args []string) (n int, err error) {
	n = 50
	rest, err := parseFlags("threads", args, option{"n", &n})
	switch {
	case err != nil:
		return 0, err
	case n < 0:
		return 0, fmt.Errorf("threads: -n %d: give the number of threads, 0 for all", n)
	case len(rest) > 0:
		return 0, fmt.Errorf("threads: it takes no %q; threads -n 0 shows all", plaintext.Clip(rest[0], 40))
	case n == 0:
		n = maxThreads
	}
	return n, nil
}

// countThreads counts how many threads are in each state, and in what they wait.
func countThreads(threads []thread) document.Threads {
	d := document.Threads{Head: document.Of("threads"), Count: len(threads), States: make(map[string]int), Waits: make(map[string]int)}
	for _, th := range threads {
		d.States[stateWord(th.State)]++
		if th.wchan != "" {
			d.Waits[th.wchan]++
		}
	}
	return d
}

// readThreads returns the threads of the process, those with the most CPU time
// first. It leaves out threads that end meanwhile.
func readThreads(ctx context.Context, process string) ([]thread, error) {
	dir, err := os.Open(process + "/task")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(maxThreads)
	dir.Close() // free it first: the process may have no descriptor left for the next file
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var threads []thread
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		tid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		task := process + "/task/" + name
		th, err := procfs.ReadThread(task)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return nil, err
		}
		threads = append(threads, thread{th, tid, task, procfs.WaitChannel(task)})
	}
	sort.SliceStable(threads, func(i, j int) bool {
		a, b := &threads[i], &threads[j]
		return cmp.Or(cmp.Compare(b.User+b.System, a.User+a.System), cmp.Compare(a.tid, b.tid)) < 0
	})
	return threads, nil
}

// blockedByEach returns the signals that each thread blocks, by thread id. The main
// thread alone would not do: it may be the runtime's thread for signals, which
// blocks nearly all of them.
func blockedByEach(ctx context.Context, threads []thread) map[int]sigset.Set {
	masks := make(map[int]sigset.Set)
	for _, th := range threads {
		if ctx.Err() != nil {
			break
		}
		if blocked, err := sigthread.BlockedBy(th.dir); err == nil {
			masks[th.tid] = blocked
		}
	}
	return masks
}

// mostFrequent returns the set that most threads block. Of two sets that are equally
// frequent it returns the smaller one.
func mostFrequent(masks map[int]sigset.Set) (usual sigset.Set) {
	counts := make(map[sigset.Set]int)
	for _, set := range masks {
		counts[set]++
	}
	for set, n := range counts {
		if n > counts[usual] || n == counts[usual] && set < usual {
			usual = set
		}
	}
	return usual
}

// neverBlockable has the signals that the kernel removes from every mask.
var neverBlockable = sigset.Of(syscall.SIGKILL, syscall.SIGSTOP)

// compactSet returns the names of the signals in the set, or of the missing ones if
// those are fewer.
func compactSet(set sigset.Set) string {
	if bits.OnesCount64(uint64(set)) <= 32 {
		return set.String()
	}
	missing := ^set &^ neverBlockable
	if missing == 0 {
		return "all"
	}
	return "all but " + missing.String()
}

// stateWord returns the word for a state letter of /proc/PID/stat.
func stateWord(state byte) string {
	switch state {
	case 'R':
		return "running"
	case 'S':
		return "sleeping"
	case 'D':
		return "in disk sleep" // as /proc/PID/status calls it, whatever the thread waits for
	case 'T':
		return "stopped"
	case 't':
		return "traced"
	case 'Z':
		return "zombie"
	case 'X', 'x':
		return "dead"
	case 'P':
		return "parked"
	case 'I':
		return "idle"
	}
	return "state " + strconv.QuoteRune(rune(state))
}
