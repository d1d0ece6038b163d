//go:build amd64 || arm64

// Package trap removes the socket of an open window from inside the handler of a
// signal that may end the process. It knows the path and the descriptor that it
// is given, and nothing of windows.
package trap

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/unixsock"
	"golang.org/x/sys/unix"
)

// The trap removes the socket of an open window from inside the signal handler
// of SIGTERM, SIGINT and SIGHUP, and then lets the handler that was there, the
// Go runtime's, do what it would have done. Nothing of the signal changes for
// the program: who handles it gets it, who does not dies of it, and who calls
// os.Exit at once has no socket left either. Compared to signal.Notify (guard)
// it needs no guess about who else is notified, and no turn of the runtime's
// signal thread: for three signals that is six thread switches, which on a busy
// machine held a window up by a millisecond and more (bench, BenchmarkOpen).
//
// The handler is in assembly since Go code cannot run in one. It makes a few
// system calls that signal-safety(7) allows, on the runtime's signal stack, with
// all signals blocked, as the runtime's handler has it. It is in place from
// Install to Uninstall and only counts the signals while no window is open. If it
// were set for each window, a process that is already dying of a signal could
// still make a socket.

// trapState is what the handler knows. It has no argument of its own, hence the
// one global. Fields marked so are shared with the handler while it is armed.
type trapState struct {
	seen  atomic.Uint32 // how many signals came, ever
	armed atomic.Uint32 // handlers act only if it is 1
	busy  atomic.Int32  // handlers that are running
	held  atomic.Uint32 // handlers wait while it is 1, for the socket to be made

	pid   uint32
	ln    int32 // the listening socket, to wake the one who accepts; -1: none yet
	dev   uint64
	ino   uint64        // 0: the socket has no identity yet
	fired atomic.Uint64 // bit n-1: signal n came

	old  [int(syscall.SIGTERM) + 1]uintptr // the handlers to go on with
	path [unixsock.MaxPath + 1]byte        // where the socket stands, NUL at the end
	tmp  [unixsock.MaxPath + 1]byte        // where it stood before
}

var (
	theTrap  trapState
	trapLock sync.Mutex // held by the manhole that uses theTrap
)

// trapHandlerPC returns the address of the handler (trap_linux_*.s).
func trapHandlerPC() uintptr

// Trap is a manhole's use of theTrap.
type Trap struct {
	sigs    []syscall.Signal
	earlier []action // by signal: what was there before
	seen    uint32   // signals that are no reason to wait any more
	mask    unix.Sigset_t
}

// New takes the trap; nil if it is taken, or if one of the signals has no
// handler, as where Go is a library in somebody else's program.
func New(sigs []syscall.Signal) *Trap {
	if !trapLock.TryLock() {
		return nil
	}
	for _, sig := range sigs {
		if act, err := getAction(sig); err != nil || act.handler == sigDefault {
			trapLock.Unlock()
			return nil
		}
	}
	t := &Trap{sigs: sigs, earlier: make([]action, len(sigs)), seen: theTrap.seen.Load()}
	t.set()
	return t
}

// set puts the handler in place where it is not. Ignored signals stay ignored;
// the program may have made them so, or not any more, since the last time. The
// handler of somebody else that came after ours stays too: it may go on with
// ours, which must not go on with it.
func (t *Trap) set() {
	for i, sig := range t.sigs {
		act, err := getAction(sig)
		if err != nil || act.handler <= sigIgnore || act.handler == trapHandlerPC() {
			continue
		}
		if first := t.earlier[i].handler; first != 0 && first != act.handler {
			continue
		}
		t.earlier[i] = act
		theTrap.old[sig] = act.handler
		act.handler = trapHandlerPC()
		_, _ = setAction(sig, act) // it cannot fail, as getAction did not
	}
}

// Arm prepares for a socket that will be made at tmp and moved to path. It
// returns false if a handler that disarm has waited for in vain has still not
// returned; the trap cannot be used then.
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
	t.set()
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
		theTrap.held.Store(0)
		t.seen = seen
		time.Sleep(exitTime)
	}
	return t.Fired() == 0
}

// Unhold is called when the socket is at its path, or could not be made.
func (t *Trap) Unhold() {
	theTrap.held.Store(0)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &t.mask, nil)
	runtime.UnlockOSThread()
}

// Own tells the handlers which file they may remove, and which listening socket
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

// idle waits for the handlers that are running, and returns false if one does
// not return in time.
func idle() bool {
	const most, interval = 200 * time.Millisecond, 100 * time.Microsecond
	for range 100 { // it is nearly always idle already
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

// Disable makes newTrap return nil for the rest of the process, as it does on
// systems without a trap. It is for tests of what is used there.
func Disable() { trapLock.Lock() }

// Fired returns a signal that came, 0 if none did.
func (t *Trap) Fired() syscall.Signal {
	fired := theTrap.fired.Load()
	for _, sig := range t.sigs {
		if fired&(1<<(sig-1)) != 0 {
			return sig
		}
	}
	return 0
}

// Release takes the handler out again, where nobody has set another, and gives
// the trap back. Who has kept our handler to go on with may do so for ever.
func (t *Trap) Release() {
	for i, sig := range t.sigs {
		if act, err := getAction(sig); err == nil && act.handler == trapHandlerPC() {
			_, _ = setAction(sig, t.earlier[i])
		}
	}
	trapLock.Unlock()
}

// action is the kernel's struct sigaction on both architectures.
type action struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	sigDefault = 0
	sigIgnore  = 1
)

func getAction(sig syscall.Signal) (act action, err error) {
	return act, sigaction(sig, nil, &act)
}

// setAction returns the action that was in force.
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
