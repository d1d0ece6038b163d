package oneshot

import (
	"runtime"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/sigset"
	"golang.org/x/sys/unix"
)

// blockSignals blocks the signals of the set, but for those that the runtime
// never blocks either, on the thread of the calling goroutine, which it keeps to
// it until the returned function is called. Threads that the runtime starts
// meanwhile do not inherit the mask: a locked goroutine has them made by another
// (newm in the runtime's proc.go). Processes would, so nothing that may start one
// runs there.
func blockSignals(set sigset.Set) (restore func()) {
	set &^= sigset.NeverBlocked
	var mask, before unix.Sigset_t
	const word = 8 * int(unsafe.Sizeof(mask.Val[0]))
	for n := range 64 {
		if set&(1<<n) != 0 {
			mask.Val[n/word] |= 1 << (n % word)
		}
	}
	runtime.LockOSThread()
	if unix.PthreadSigmask(unix.SIG_BLOCK, &mask, &before) != nil { // it cannot fail with these arguments
		runtime.UnlockOSThread()
		return func() {}
	}
	return func() {
		// A thread that keeps the mask dies with its goroutine, since that stays
		// locked to it.
		if unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) == nil {
			runtime.UnlockOSThread()
		}
	}
}
