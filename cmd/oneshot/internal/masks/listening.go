//go:build unix

package masks

import (
	"math/bits"
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

// undetectable are signals that programs often listen to, and that the runtime never blocks on
// its signal thread, whether the program listens to them or not.
const undetectable = oneshot.SignalSet(1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) | 1<<(syscall.SIGTERM-1))

// thread is a thread and its masks.
type thread struct {
	tid int
	threadMasks
}

type threadMasks struct{ blocked, pending oneshot.SignalSet }

// allBlockable are the signals that can be blocked. A thread of a Go program blocks
// all of them for a moment when it creates another thread, and a new thread blocks
// them when it starts (newosproc and sigset_all in the runtime's os_linux.go). In a
// signal handler a thread blocks all of them except the two of the C library (setsig
// in the same file).
const allBlockable = ^oneshot.SignalSet(1<<(syscall.SIGKILL-1) | 1<<(syscall.SIGSTOP-1))

// count returns the number of signals in a set.
func count(set oneshot.SignalSet) int { return bits.OnesCount64(uint64(set)) }
