//go:build linux

package main

import (
	"math/bits"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// goState is whether a process is a Go program.
type goState int

const (
	goNo goState = iota
	goYes
	goUnknown
)

func (g goState) String() string {
	switch g {
	case goYes:
		return "a Go program"
	case goUnknown:
		return "whether it is a Go program may not be read"
	}
	return "not a Go program"
}

// signalThread is a thread and its masks.
type signalThread struct {
	tid int
	threadMasks
}

type threadMasks struct{ blocked, pending oneshot.SignalSet }

// everySignal is what a thread of a Go program blocks while it makes another,
// and the other at its start: all that can be blocked (sigset_all in the
// runtime's os_linux.go, newosproc). The runtime leaves out the two that belong
// to the C library while a thread is in a signal handler (setsig there).
const everySignal = ^oneshot.SignalSet(1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGSTOP-1))

const forC = oneshot.SignalSet(1<<(32-1) | 1<<(33-1))

// readSignalThreads reads the masks of the threads, the main thread's first.
func readSignalThreads(pid int) ([]signalThread, error) {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	names, err := folder.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	main, err := readThreadMasks(dir + "/" + strconv.Itoa(pid))
	if err != nil {
		return nil, err
	}
	threads := []signalThread{{pid, main}}
	for _, name := range names {
		tid, err := strconv.Atoi(name)
		if err != nil || tid == pid {
			continue
		}
		masks, err := readThreadMasks(dir + "/" + name)
		if err == nil { // else it has ended
			threads = append(threads, signalThread{tid, masks})
		}
	}
	lookAgain(dir, threads)
	slices.SortFunc(threads[1:], func(a, b signalThread) int { return a.tid - b.tid })
	return threads, nil
}

// lookAgain reads the masks of threads that block everything, perhaps for a
// moment only.
func lookAgain(dir string, threads []signalThread) {
	for range 50 {
		again := false
		for i, t := range threads {
			if t.blocked|forC != everySignal {
				continue
			}
			masks, err := readThreadMasks(dir + "/" + strconv.Itoa(t.tid))
			if err == nil { // else it has ended
				threads[i].threadMasks = masks
				again = again || masks.blocked|forC == everySignal
			}
		}
		if !again {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func readThreadMasks(dir string) (m threadMasks, err error) {
	status, err := procfs.ReadStatus(dir)
	if err != nil {
		return m, err
	}
	blocked, err := status.Mask("SigBlk")
	if err != nil {
		return m, err
	}
	pending, err := status.Mask("SigPnd")
	return threadMasks{oneshot.SignalSet(blocked), oneshot.SignalSet(pending)}, err
}

// listening is what the runtime's signal thread tells.
type listening struct {
	tid    int // 0: not found
	set    oneshot.SignalSet
	others int // threads that block all that it may block; a session's, mostly
	unsure bool
}

func (l listening) known() bool { return l.tid != 0 && !l.unsure }

// neverBlocked are the signals that the runtime's signal thread does not block
// whoever listens; see the variable of that name in the package's sigmask_linux.go.
const neverBlocked = oneshot.SignalSet(1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) | 1<<(syscall.SIGTERM-1) |
	1<<(syscall.SIGILL-1) | 1<<(syscall.SIGTRAP-1) | 1<<(syscall.SIGABRT-1) | 1<<(syscall.SIGBUS-1) | 1<<(syscall.SIGFPE-1) |
	1<<(syscall.SIGSEGV-1) | 1<<(syscall.SIGSTKFLT-1) | 1<<(syscall.SIGCHLD-1) | 1<<(syscall.SIGURG-1) | 1<<(syscall.SIGPROF-1) |
	1<<(syscall.SIGSYS-1) | 1<<(32-1) | 1<<(33-1) | 1<<(34-1) | 1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGSTOP-1))

// invisible are those of them that programs listen to.
const invisible = oneshot.SignalSet(1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) | 1<<(syscall.SIGTERM-1))

// findListening finds the runtime's signal thread by its mask: it blocks no
// signal of neverBlocked (but SIGURG, under GODEBUG=asyncpreemptoff=1), and most
// of the others, namely those that nobody listens to. The thread of a manhole's
// session may look like it; that blocks what the runtime's does and, as a
// rule, more.
func findListening(threads []signalThread) listening {
	const urgent = oneshot.SignalSet(1 << (syscall.SIGURG - 1))
	var candidates []signalThread
	for _, t := range threads {
		blocks := bits.OnesCount64(uint64(t.blocked &^ neverBlocked))
		if t.blocked&neverBlocked&^urgent == 0 && blocks >= bits.OnesCount64(uint64(^neverBlocked))/2 {
			candidates = append(candidates, t)
		}
	}
	if len(candidates) == 0 {
		return listening{}
	}
	least := slices.MinFunc(candidates, func(a, b signalThread) int {
		return bits.OnesCount64(uint64(a.blocked)) - bits.OnesCount64(uint64(b.blocked))
	})
	l := listening{tid: least.tid, set: ^least.blocked &^ neverBlocked, others: len(candidates) - 1}
	for _, t := range candidates {
		// Others are told from it only if they block all that can be blocked.
		if t.tid != least.tid && (t.blocked == least.blocked || t.blocked|neverBlocked != ^oneshot.SignalSet(0)) {
			l.unsure = true
		}
	}
	return l
}

// showListening tells which signals a Go program listens to, how that is known,
// and what is not.
func (w *signalWriter) showListening(s *signalSubject) {
	switch s.goIs {
	case goUnknown:
		w.printf("If it is a Go program, SigCgt says little: the runtime catches nearly every signal itself. Root can tell.\n")
		return
	case goNo:
		return
	}
	l := s.listens
	switch {
	case l.tid == 0:
		w.printf("listens to: not known\n" +
			"  No thread looks like the one that the Go runtime keeps for signals: either the program has never\n" +
			"  called signal.Notify (or is linked without os/signal), or it has asked for nearly all of them.\n")
	case l.unsure:
		w.printf("listens to: not known\n"+
			"  %d threads look like the one that the Go runtime keeps for signals.\n", l.others+1)
	default:
		w.printf("listens to\n")
		w.set("  ", l.set)
		w.printf("  Thread %d is the one that the Go runtime keeps for signals: it blocks nearly every signal that may\n"+
			"  be blocked there, but for those that the program has asked for with signal.Notify.\n", l.tid)
		if l.others > 0 {
			w.printf("  %s all of them, as the session of a manhole does.\n", countOf(l.others, "other thread blocks", "other threads block"))
		}
	}
	ignored := s.row("SigIgn") & invisible
	if hidden := invisible &^ ignored; hidden != 0 {
		w.printf("not known: whether it listens to %v as well. The runtime blocks them nowhere, whoever listens.\n", hidden)
	}
	if ignored != 0 {
		w.printf("It does not listen to %v, which it ignores.\n", ignored)
	}
	w.printf("SigCgt says little here: the Go runtime catches nearly every signal itself, and does what would have been\n" +
		"done without it where the program has not asked for one.\n")
}
