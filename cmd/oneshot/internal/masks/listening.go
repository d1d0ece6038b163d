//go:build linux

package masks

import (
	"math/bits"
	"slices"
	"syscall"

	"github.com/gomanhole/oneshot"
)

// listening says which signals a Go program listens to, according to the runtime's
// signal thread.
type listening struct {
	tid    int // of the signal thread; 0 if it was not found
	set    oneshot.SignalSet
	others int  // how many other threads block everything that the signal thread can block
	unsure bool // another thread may be the signal thread instead
}

func (l listening) known() bool { return l.tid != 0 && !l.unsure }

// neverBlocked are the signals that the runtime never blocks on its signal thread,
// whether the program listens to them or not (blockableSig in the runtime's
// signal_unix.go, the flags _SigUnblock, _SigKill and _SigThrow in its
// sigtab_linux_generic.go, SIGURG for preemption), and the two that the kernel never
// blocks. It must equal the variable of this name in package oneshot, which is not
// exported.
const neverBlocked = oneshot.SignalSet(1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) | 1<<(syscall.SIGTERM-1) |
	1<<(syscall.SIGILL-1) | 1<<(syscall.SIGTRAP-1) | 1<<(syscall.SIGABRT-1) | 1<<(syscall.SIGBUS-1) | 1<<(syscall.SIGFPE-1) |
	1<<(syscall.SIGSEGV-1) | 1<<(syscall.SIGSTKFLT-1) | 1<<(syscall.SIGCHLD-1) | 1<<(syscall.SIGURG-1) | 1<<(syscall.SIGPROF-1) |
	1<<(syscall.SIGSYS-1) | 1<<(32-1) | 1<<(33-1) | 1<<(34-1) | 1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGSTOP-1))

// undetectable are the signals of neverBlocked that programs often listen to.
const undetectable = oneshot.SignalSet(1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) | 1<<(syscall.SIGTERM-1))

// findListening finds the runtime's signal thread by its mask. That thread blocks no
// signal of neverBlocked (except SIGURG under GODEBUG=asyncpreemptoff=1). It blocks
// most of the others, namely those that the program does not listen to. The thread of
// a manhole's session may look the same. It blocks at least the same signals, and
// usually more.
func findListening(threads []thread) listening {
	const urgent = oneshot.SignalSet(1 << (syscall.SIGURG - 1))
	var candidates []thread
	for _, t := range threads {
		if t.blocked&neverBlocked&^urgent == 0 && count(t.blocked&^neverBlocked) >= count(^neverBlocked)/2 {
			candidates = append(candidates, t)
		}
	}
	if len(candidates) == 0 {
		return listening{}
	}
	least := slices.MinFunc(candidates, func(a, b thread) int { return count(a.blocked) - count(b.blocked) })
	l := listening{tid: least.tid, set: ^least.blocked &^ neverBlocked, others: len(candidates) - 1}
	for _, t := range candidates {
		// Only a thread that blocks everything is certainly not the signal thread.
		if t.tid != least.tid && (t.blocked == least.blocked || t.blocked|neverBlocked != ^oneshot.SignalSet(0)) {
			l.unsure = true
		}
	}
	return l
}

// count returns the number of signals in a set.
func count(set oneshot.SignalSet) int { return bits.OnesCount64(uint64(set)) }
