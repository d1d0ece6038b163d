//go:build amd64 || arm64

package oneshot

import (
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
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
// The handler is in assembly since Go code cannot run in one. It makes four
// system calls that signal-safety(7) allows, on the runtime's signal stack, with
// all signals blocked, as the runtime's handler has it.

// trapState is what the handler knows. It has no argument of its own, hence the
// one global. Fields marked so are shared with the handler while it is armed.
type trapState struct {
	armed atomic.Uint32 // handlers act only if it is 1
	busy  atomic.Int32  // handlers that are running

	pid   uint32
	ln    int32 // the listening socket, to wake the one who accepts; -1: none yet
	dev   uint64
	ino   uint64        // 0: the socket has no identity yet
	fired atomic.Uint64 // bit n-1: signal n came

	old  [int(syscall.SIGTERM) + 1]uintptr // the handlers to go on with
	path [maxSocketPath + 1]byte           // where the socket stands, NUL at the end
	tmp  [maxSocketPath + 1]byte           // where it stood before
}

var (
	theTrap  trapState
	trapLock sync.Mutex // held by the window that uses theTrap, and guards what follows

	// trapEarlier is what was in force when the trap was last set, by signal:
	// as a rule it still is.
	trapEarlier [len(theTrap.old)]action
)

// trapHandlerPC returns the address of the handler (trap_linux_*.s).
func trapHandlerPC() uintptr

// trap is one window's use of theTrap.
type trap struct{ sigs []syscall.Signal }

// newTrap takes the trap; nil if it is taken, or if one of the signals has no
// handler, as where Go is a library in somebody else's program.
func newTrap(sigs []syscall.Signal) *trap {
	if !trapLock.TryLock() {
		return nil
	}
	for _, sig := range sigs {
		if trapEarlier[sig].handler > sigIgnore {
			continue
		}
		act, err := getAction(sig)
		if err != nil || act.handler == sigDefault {
			trapLock.Unlock()
			return nil
		}
		trapEarlier[sig] = act
	}
	return &trap{sigs}
}

// arm sets the trap for a socket that will be made at tmp and moved to path.
func (t *trap) arm(pid int, path, tmp string) {
	s := &theTrap
	s.pid, s.ln, s.dev, s.ino = uint32(pid), -1, 0, 0
	s.fired.Store(0)
	setPath(&s.path, path)
	setPath(&s.tmp, tmp)
	s.armed.Store(1)
	for _, sig := range t.sigs {
		act := trapEarlier[sig]
		// For the time between the two system calls, at most, what the
		// program has set since the last window is not gone on with.
		s.old[sig] = act.handler
		act.handler = trapHandlerPC()
		before, err := setAction(sig, act)
		if err != nil || before.handler == trapEarlier[sig].handler {
			continue
		}
		trapEarlier[sig] = before
		if before.handler > sigIgnore {
			s.old[sig] = before.handler
		} else {
			_, _ = setAction(sig, before) // there is nothing to be done about it
		}
	}
}

func setPath(to *[maxSocketPath + 1]byte, path string) {
	n := copy(to[:maxSocketPath], path)
	clear(to[n:])
}

// own tells the trap which file is to be removed, and whom to wake.
func (t *trap) own(id inode, ln *listener) {
	s := &theTrap
	atomic.StoreInt32(&s.ln, int32(ln.fd))
	atomic.StoreUint64(&s.dev, id.dev)
	atomic.StoreUint64(&s.ino, id.ino)
}

// disarm makes the handlers harmless and waits for those that are running:
// they may be about to use the path or the descriptor.
func (t *trap) disarm() {
	s := &theTrap
	s.armed.Store(0)
	for s.busy.Load() != 0 {
		runtime.Gosched()
	}
}

// fired returns a signal that came, 0 if none did.
func (t *trap) fired() syscall.Signal {
	fired := theTrap.fired.Load()
	for _, sig := range t.sigs {
		if fired&(1<<(sig-1)) != 0 {
			return sig
		}
	}
	return 0
}

// release takes the handlers out again, disarmed before, and gives the trap
// back. A handler that the program has set meanwhile (signal.Ignore) stays.
func (t *trap) release() {
	for _, sig := range t.sigs {
		if trapEarlier[sig].handler <= sigIgnore {
			continue // the trap was not set
		}
		now, err := setAction(sig, trapEarlier[sig])
		if err == nil && now.handler != trapHandlerPC() {
			_, _ = setAction(sig, now)
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
