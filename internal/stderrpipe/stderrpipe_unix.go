//go:build linux || darwin || freebsd

// Package stderrpipe sends what the process writes to descriptor 2 to a session as
// well, while that wants it. It knows nothing of commands.
package stderrpipe

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/ours"

	"github.com/gomanhole/oneshot/internal/unixsock"
	"golang.org/x/sys/unix"
)

// redirect is the time during which descriptor 2 is a pipe to a session. If it were
// the client's socket, the program would die of SIGPIPE when the client goes, and
// wait when the client does not read. The pipe does not block: writes to it fail when
// it is full. Its reader outlives the client.
type redirect struct {
	owner *Holder
	to    *clientio.Output
	saved *os.File      // what descriptor 2 was
	pipe  unixsock.ID   // what it is now
	log   chan []byte   // for saved, which may be stuck
	ended chan struct{} // closed when nobody can write into the pipe any more

	mu       sync.Mutex // guards what follows
	detached bool       // what comes is not for the client any more
}

// The redirect of the process; there is one at a time.
var stderrNow struct {
	sync.Mutex
	r *redirect
}

// stderrPipe is the size of the pipe in bytes: what the program can write before it
// is read.
const stderrPipe = 256 << 10

// Take sends descriptor 2 to the holder. To take it twice is no error.
func Take(h *Holder) error {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	if r := stderrNow.r; r != nil && r.owner != h {
		return fmt.Errorf("the session of pid %d has it; only one session at a time can have it", r.owner.PID)
	} else if r != nil {
		return nil
	}
	if h.ended {
		return errors.New("the session has ended") // nobody would give it back
	}
	flags, err := unix.FcntlInt(2, unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("descriptor 2 is not open: %w", err)
	}
	if flags&unix.O_NONBLOCK != 0 {
		return errors.New("descriptor 2 is in non-blocking mode, and the program may be waiting for it in the poller")
	}
	saved, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	r := &redirect{
		owner: h,
		to:    h.Out.View(),
		saved: os.NewFile(uintptr(saved), "standard error"),
		log:   make(chan []byte, maxLogged),
		ended: make(chan struct{}),
	}
	read, write, err := os.Pipe() // both ends do not block
	if err != nil {
		r.saved.Close()
		return err
	}
	defer write.Close()
	raw, err := write.SyscallConn()
	if err == nil {
		growErr := raw.Control(func(fd uintptr) {
			unixsock.GrowPipe(int(fd), stderrPipe) // best effort
			if r.pipe, err = unixsock.IDOf(int(fd)); err == nil {
				err = os.NewSyscallError("dup2", unixsock.Dup2(int(fd), 2)) // last: there is no way back
			}
		})
		err = cmp.Or(err, growErr)
	}
	if err != nil {
		read.Close()
		r.saved.Close()
		return err
	}
	_ = debug.SetCrashOutput(r.saved, debug.CrashOptions{}) // best effort
	stderrNow.r = r
	ours.Go(func() { r.forward(read) })
	ours.Go(r.writeLog)
	return nil
}

// forward copies what the program writes, until nobody can write any more: the
// program has its own descriptor back, and the children that have inherited the
// pipe have ended. They would die of SIGPIPE if it were not read.
func (r *redirect) forward(read *os.File) {
	defer close(r.ended)
	defer close(r.log)
	defer read.Close()
	for {
		buf := make([]byte, logged)
		n, err := read.Read(buf)
		if n > 0 {
			r.pass(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

// What may wait for the descriptor that 2 was: so many pieces of so many bytes.
const (
	maxLogged = 64
	logged    = 32 << 10
)

// pass sends a piece to the client and to where it would have gone.
func (r *redirect) pass(p []byte) {
	select {
	case r.log <- p:
	default: // it is stuck, and is not waited for
	}
	r.mu.Lock()
	detached := r.detached
	r.mu.Unlock()
	if !detached {
		if _, err := r.to.Write(p); err == nil {
			_ = r.to.Flush() // a client that is gone is noticed by its session
		}
	}
}

// writeLog is the goroutine that waits for saved.
func (r *redirect) writeLog() {
	defer r.saved.Close()
	for p := range r.log {
		_, _ = r.saved.Write(p)
	}
}

// Current returns the holder that has descriptor 2, nil if none has.
func Current() *Holder {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	if stderrNow.r == nil {
		return nil
	}
	return stderrNow.r.owner
}

// Give gives the program its descriptor 2 back. It returns false if the holder does
// not have it.
func Give(h *Holder) bool {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	return giveLocked(h)
}

// End is give for good: a command of the session that is still running cannot take
// it again.
func End(h *Holder) {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	h.ended = true
	giveLocked(h)
}

// giveLocked is give. The caller holds stderrNow.
func giveLocked(h *Holder) bool {
	r := stderrNow.r
	if r == nil || r.owner != h {
		return false
	}
	stderrNow.r = nil
	// The program may have put something else there meanwhile, a new log.
	if now, err := unixsock.IDOf(2); err == nil && now == r.pipe {
		if raw, err := r.saved.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unixsock.Dup2(int(fd), 2) }) // both are open
		}
	}
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	// What has been written already is for the client still.
	const remainder = 100 * time.Millisecond
	t := time.NewTimer(remainder)
	defer t.Stop()
	select {
	case <-r.ended:
	case <-t.C:
	}
	r.mu.Lock()
	r.detached = true
	r.mu.Unlock()
	return true
}
