//go:build amd64 || arm64

// Package trap removes the socket of an open window from inside the handler of a
// signal that may end the process. The caller passes the path and the descriptor
// of the socket. The package knows nothing else about windows.
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

// The trap handles SIGTERM, SIGINT and SIGHUP. Its signal handler removes the
// socket of an open window. Then it jumps to the previous handler, which is the Go
// runtime's. So the signal has its usual effect on the program: a program that
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

// trapState is the data of the handler. A handler has no argument for such data,
// so there is one global variable. While the trap is armed, handlers read and
// write these fields.
type trapState struct {
	seen  atomic.Uint32 // the number of signals that have arrived since the start
	armed atomic.Uint32 // 1: handlers act; 0: they only count
	busy  atomic.Int32  // the number of handlers that are running
	held  atomic.Uint32 // 1: handlers wait, because the socket is being made

	pid   uint32
	ln    int32 // the listening socket, which handlers shut down to wake the goroutine that accepts; -1: none yet
	dev   uint64
	ino   uint64        // with dev: the file of the socket; 0: not known yet
	fired atomic.Uint64 // bit n-1: signal n has arrived since Arm

	old  [int(syscall.SIGTERM) + 1]uintptr // by signal: the previous handler, which ours jumps to
	path [unixsock.MaxPath + 1]byte        // the path of the socket, with a NUL at the end
	tmp  [unixsock.MaxPath + 1]byte        // the path at which the socket is made, with a NUL at the end
}

var (
	theTrap  trapState
	trapLock sync.Mutex // locked while a manhole uses theTrap
)

// trapHandlerPC returns the address of the handler (trap_linux_*.s).
func trapHandlerPC() uintptr

// Trap is a manhole's use of theTrap.
type Trap struct {
	sigs    []syscall.Signal
	earlier []action      // by index in sigs: the previous action
	seen    uint32        // the value of theTrap.seen up to which Hold has waited
	mask    unix.Sigset_t // the mask of the thread before Hold
}

// New takes the trap and puts the handler in place for the given signals. It
// returns nil if the trap is already taken. It also returns nil if one of the
// signals has no handler, as in a C program that uses Go as a library.
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

// set puts the handler in place for each signal that does not have it. An ignored
// signal stays ignored. The program can change that at any time, so set looks each
// time. A handler that somebody else has installed after ours stays too: it may
// call ours, so ours must not call it.
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
		_, _ = setAction(sig, act) // cannot fail, since getAction did not
	}
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

// Unhold lets the handlers continue. It is called when the socket is at its path,
// or could not be made.
func (t *Trap) Unhold() {
	theTrap.held.Store(0)
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &t.mask, nil)
	runtime.UnlockOSThread()
}

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

// Release restores the previous handlers and gives the trap back. It leaves a
// handler that somebody else has installed since. Such a handler may call ours at
// any later time; ours is never unloaded.
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
