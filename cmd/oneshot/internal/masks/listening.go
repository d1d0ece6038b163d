//go:build linux

package masks

import (
	"math/bits"
	"slices"
	"syscall"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/sigset"
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
// whether the program listens to them or not.
var neverBlocked = oneshot.SignalSet(sigset.NeverBlocked)

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
