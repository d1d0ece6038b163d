//go:build amd64 || arm64

// Package trap removes the socket of an open window from inside the handler of a
// signal that may end the process. The caller passes the path and the descriptor
// of the socket. The package knows nothing else about windows.
package trap

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/unixsock"
	"golang.org/x/sys/unix"
)

// The trap handles SIGTERM, SIGINT and SIGHUP. Its signal handler removes the
// socket of an open window. Then it jumps to the Go runtime's handler, whose place
// it has taken. So the signal has its usual effect on the program: a program that
// handles the signal receives it, and a program that does not handle it dies of
// it. A program that calls os.Exit at once leaves no socket behind either.
//
// The alternative is signal.Notify (guard). The trap does not have to guess
// whether the program is notified of the signal too, and it does not need the
// runtime's signal thread to run. For three signals that saves six thread
// switches, which delayed a window by a millisecond and more on a busy machine
// (bench, BenchmarkOpen).
//
// The handler is written in assembly because Go code cannot run in a signal
// handler. It makes a few system calls that signal-safety(7) allows. It runs on the
// runtime's signal stack with all signals blocked, as the runtime's handler does.
// It is in place from Install to Uninstall. While no window is open, it only
// counts the signals. If it were set for each window, a process that is already
// dying of a signal could still make a socket.
//
// C code in the same process may handle the same signals. It may keep the handler
// that it has found, and call it or put it back at any later time (system(3) does).
// It may also use that handler for another signal. So two rules hold:
//
//   - The trap takes the place of the runtime's handler only. That handler is the
//     same for every signal and for the whole life of the process. So wherever the
//     address of the trap is kept or copied to, and however late it is called, the
//     trap jumps to the handler that would have been there without it.
//   - A handler of C code is never replaced and never called. For such a signal the
//     guard uses signal.Notify.

// trapState is the data of the handler. A handler has no argument for such data,
// so there is one global variable. While the trap is armed, handlers read and
// write these fields.
type trapState struct {
	next atomic.Uintptr // the runtime's handler, which ours jumps to; set once, before the trap is first put in place
	sigs atomic.Uint64  // bit n-1: signal n closes a window; for any other signal, handlers do nothing but jump

	seen  atomic.Uint32 // the number of signals that have arrived since the start
	armed atomic.Uint32 // 1: handlers act; 0: they only count
	busy  atomic.Int32  // the number of handlers that are running
	held  atomic.Uint32 // 1: handlers wait, because the socket is being made; they set it to 0 if that takes too long

	pid   uint32
	ln    int32 // the listening socket, which handlers shut down to wake the goroutine that accepts; -1: none yet
	dev   uint64
	ino   uint64        // with dev: the file of the socket; 0: not known yet
	fired atomic.Uint64 // bit n-1: signal n has arrived since Arm

	announce  atomic.Uint64 // bit n-1: signal n sets its bit in announced, and is followed by SIGIO
	announced atomic.Uint64

	path [unixsock.MaxPath + 1]byte // the path of the socket, with a NUL at the end
	tmp  [unixsock.MaxPath + 1]byte // the path at which the socket is made, with a NUL at the end
}

var (
	theTrap  trapState
	trapLock sync.Mutex // locked while a manhole uses theTrap
)

// trapHandlerPC returns the address of the handler (trap_linux_*.s).
func trapHandlerPC() uintptr

// Trap is a manhole's use of theTrap.
type Trap struct {
	sigs []syscall.Signal
	seen uint32        // the value of theTrap.seen up to which Hold has waited
	mask unix.Sigset_t // the mask of the thread before Hold
}

// New takes the trap and puts the handler in place for the given signals, as Set
// does. It returns nil if the trap is already taken.
func New(sigs []syscall.Signal) *Trap {
	if !trapLock.TryLock() {
		return nil
	}
	theTrap.sigs.Store(uint64(sigset.Of(sigs...)))
	t := &Trap{sigs: sigs, seen: theTrap.seen.Load()}
	t.Set(sigs)
	return t
}

// Set puts the handler in place for those of the signals that have the runtime's
// handler now, since the program may have changed that. It returns the others, for
// which the trap does nothing: C code handles them, or nobody does, as in a C
// program that uses Go as a library.
func (t *Trap) Set(sigs []syscall.Signal) (others []syscall.Signal) {
	for _, sig := range sigs {
		if !setOne(sig) {
			others = append(others, sig)
		}
	}
	return others
}

// setOne puts the handler in place for one signal. It returns true if it is there.
func setOne(sig syscall.Signal) bool {
	act, err := getAction(sig)
	switch {
	case err != nil:
		return false
	case act.handler == trapHandlerPC():
		return true
	case theTrap.next.Load() == 0 && isRuntimes(act.handler):
		theTrap.next.Store(act.handler)
	}
	next := theTrap.next.Load()
	return next != 0 && act.handler == next && replace(sig, act, next, trapHandlerPC())
}

// isRuntimes reports whether handler is the one that the runtime sets for every
// signal (setsig in the runtime's os_linux.go).
func isRuntimes(handler uintptr) bool {
	f := runtime.FuncForPC(handler)
	return f != nil && f.Entry() == handler && (f.Name() == "runtime.sigtramp" || f.Name() == "runtime.cgoSigtramp")
}

// Ignored reports whether the process ignores a signal, whoever has decided so.
func Ignored(sig syscall.Signal) bool {
	act, err := getAction(sig)
	return err == nil && act.handler == sigIgnore
}

// Arm prepares the trap for a socket that will be made at tmp and moved to path.
// It returns false if a handler is still running for which Disarm has waited
// without success. The trap cannot be used then.
func (t *Trap) Arm(pid int, path, tmp string) bool {
	s := &theTrap
	if !idle() {
		return false
	}
	s.pid, s.ln, s.dev, s.ino = uint32(pid), -1, 0, 0
	s.fired.Store(0)
	setPath(&s.path, path)
	setPath(&s.tmp, tmp)
	s.armed.Store(1)
	return true
}

func setPath(to *[unixsock.MaxPath + 1]byte, path string) {
	n := copy(to[:unixsock.MaxPath], path)
	clear(to[n:])
}

// Hold is called before the socket is made. From then on handlers wait for Unhold.
// It blocks the signals on this thread, so that a handler on another thread can wait
// for it. A handler increments seen and then reads held; Hold sets held and then reads
// seen: at least one of the two notices the other.
//
// If a signal came since the last window, the process may be about to end: a program
// that handles the signal may call os.Exit, which would leave the socket behind. Hold
// gives it some time. It returns false if a signal came since Arm.
func (t *Trap) Hold() bool {
	runtime.LockOSThread()
	var set unix.Sigset_t
	for _, sig := range t.sigs {
		n := int(sig) - 1
		set.Val[n/64] |= 1 << (n % 64)
	}
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, &t.mask) // it cannot fail with these arguments
	const exitTime, tries = 40 * time.Millisecond, 5       // on a busy machine an os.Exit may take that long
	for range tries {
		theTrap.held.Store(1)
		seen := theTrap.seen.Load()
		if seen == t.seen {
			break
		}
		letGo()
		t.seen = seen
		time.Sleep(exitTime)
	}
	return t.Fired() == 0
}

// Unhold lets the handlers continue. It is called when the socket is at its path,
// or could not be made.
func (t *Trap) Unhold() {
	letGo()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &t.mask, nil)
	runtime.UnlockOSThread()
}

// letGo wakes the handlers that wait because of Hold. A handler increments busy and
// then reads held, so one that is not seen here does not wait.
func letGo() {
	theTrap.held.Store(0)
	if theTrap.busy.Load() != 0 {
		// It wakes all of them, and cannot fail with these arguments.
		_, _, _ = syscall.RawSyscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&theTrap.held)), futexWakePrivate, math.MaxInt32)
	}
}

// futexWakePrivate is FUTEX_WAKE_PRIVATE (futex(2)). The handler waits with
// FUTEX_WAIT_PRIVATE. The runtime uses the same two operations, so every seccomp
// filter that lets Go programs run allows them.
const futexWakePrivate = 1 | 128

// Own sets the file that the handlers may remove, and the listening socket that
// they shut down to wake the goroutine that accepts.
func (t *Trap) Own(id unixsock.ID, ln int) {
	s := &theTrap
	atomic.StoreInt32(&s.ln, int32(ln))
	atomic.StoreUint64(&s.dev, id.Dev)
	atomic.StoreUint64(&s.ino, id.Ino)
}

// Disarm makes the handlers harmless, and waits for those that are running: they
// may be about to use the path or the descriptor. A handler takes microseconds,
// unless the file system of the path hangs. If one has not returned in time,
// Disarm returns false: the descriptor must stay open.
func (t *Trap) Disarm() bool {
	theTrap.armed.Store(0)
	return idle()
}

// idle waits for the running handlers to return. It returns false if one of them
// does not return in time.
func idle() bool {
	const most, interval = 200 * time.Millisecond, 100 * time.Microsecond
	for range 100 { // nearly always, none is running
		if theTrap.busy.Load() == 0 {
			return true
		}
		runtime.Gosched()
	}
	for deadline := time.Now().Add(most); theTrap.busy.Load() != 0; time.Sleep(interval) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// Announce makes the handler send SIGIO to the process after each of the signals, so that
// Go code learns of them although the program alone is subscribed to them. SIGIO is
// chosen because it says nothing by itself: whoever is subscribed to it looks whether
// there is something to do. The caller is subscribed to it until Release has returned.
func (t *Trap) Announce(sigs ...syscall.Signal) {
	theTrap.announced.Store(0)
	theTrap.announce.Store(uint64(sigset.Of(sigs...)))
}

// Announced returns a signal that has been announced since the last call, or 0.
func (t *Trap) Announced() syscall.Signal {
	came := theTrap.announced.Swap(0)
	for _, sig := range t.sigs {
		if came&(1<<(sig-1)) != 0 {
			return sig
		}
	}
	return 0
}

// Disable makes New return nil for the rest of the process, as it does on systems
// without a trap. Tests call it to use the replacement on a system with a trap.
func Disable() { trapLock.Lock() }

// Fired returns a signal that has arrived since Arm. It returns 0 if none has.
func (t *Trap) Fired() syscall.Signal {
	fired := theTrap.fired.Load()
	for _, sig := range t.sigs {
		if fired&(1<<(sig-1)) != 0 {
			return sig
		}
	}
	return 0
}

// Release puts the runtime's handler back and gives the trap back. It leaves a
// handler that somebody else has installed since. Such a handler may call ours, or
// put it back, at any later time; ours is never unloaded.
func (t *Trap) Release() {
	theTrap.sigs.Store(0)
	if theTrap.announce.Swap(0) != 0 {
		idle() // a handler may be about to send SIGIO
	}
	for _, sig := range t.sigs {
		if act, err := getAction(sig); err == nil && act.handler == trapHandlerPC() {
			replace(sig, act, act.handler, theTrap.next.Load())
		}
	}
	trapLock.Unlock()
}

// Handler returns the address of the handler of a signal, whoever has installed it.
func Handler(sig syscall.Signal) uintptr {
	act, _ := getAction(sig) // the zero value if there is no such signal
	return act.handler
}

// Keep calls f. Where Go is a library, signal.Stop restores the handler found that
// signal.Notify has replaced. If f has done so, and C code had installed another handler
// after signal.Notify, the latter stays in place.
func Keep(sig syscall.Signal, found uintptr, f func()) {
	before, err := getAction(sig)
	f()
	switch {
	case err != nil, before.handler <= sigIgnore, before.handler == found, isRuntimes(before.handler):
		return
	}
	if Handler(sig) == found {
		_, _ = setAction(sig, before) // cannot fail, since getAction did not
	}
}

// action is the kernel's struct sigaction on both architectures.
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	sigIgnore   = 1 // SIG_IGN; SIG_DFL is 0
	saNoCldStop = 1 // SA_NOCLDSTOP
)

func getAction(sig syscall.Signal) (act action, err error) {
	return act, sigaction(sig, nil, &act)
}

// replace replaces the handler from by the handler to. The action of the signal was
// act when the caller looked. If the program changes the action at the same time
// (signal.Ignore), the program's action stays: setAction returns what it has
// replaced, and that is put back. replace returns true if the handler is to.
//
// The program may set the same action again that replace has just put back. So that
// replace can tell its own from the program's, its own has a flag that means nothing for
// signals other than SIGCHLD.
func replace(sig syscall.Signal, act action, from, to uintptr) bool {
	replaced := func(act action) action {
		if act.handler == from {
			act.handler = to
		}
		return act
	}
	expected, put := act, replaced(act)
	const tries = 1000 // each time, the program must have changed it between two system calls
	for range tries {
		before, err := setAction(sig, put)
		if err != nil {
			return false
		}
		if before == expected {
			break
		}
		expected, put = put, replaced(before)
		put.flags ^= saNoCldStop
	}
	return put.handler == to
}

// setAction sets the action of a signal and returns the previous one.
func setAction(sig syscall.Signal, act action) (before action, err error) {
	return before, sigaction(sig, &act, &before)
}

func sigaction(sig syscall.Signal, act, before *action) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig),
		uintptr(unsafe.Pointer(act)), uintptr(unsafe.Pointer(before)), unsafe.Sizeof(act.mask), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
