package oneshot

import (
	"runtime"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/sigset"
	"golang.org/x/sys/unix"
)

// blockSignals locks the calling goroutine to its thread and blocks the signals of
// the set on that thread, except those that the runtime never blocks. The returned
// function restores the mask and unlocks the goroutine.
//
// Threads that the runtime starts meanwhile do not inherit the mask: if a goroutine
// is locked to its thread, the runtime has another thread create them (newm in the
// runtime's proc.go). Child processes would inherit the mask, so code that may
// start a process does not run on this thread.
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
	if unix.PthreadSigmask(unix.SIG_BLOCK, &mask, &before) != nil { // cannot fail with these arguments
		runtime.UnlockOSThread()
		return func() {}
	}
	return func() {
		// If the mask cannot be restored, keep the goroutine locked. The thread
		// then ends with the goroutine.
		if unix.PthreadSigmask(unix.SIG_SETMASK, &before, nil) == nil {
			runtime.UnlockOSThread()
		}
	}
}
