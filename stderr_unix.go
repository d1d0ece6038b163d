//go:build linux || darwin || freebsd

package oneshot

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

// redirect is the time during which descriptor 2 is a pipe to a session. The
// pipe is between them since the client's socket in its place would end the
// program by SIGPIPE when the client goes, and hold it up when it does not read:
// writes to the pipe, which does not block either, fail when it is full, and its
// reader outlives the client.
type redirect struct {
	owner *core
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

// stderrPipe is how much the program may write before it is read, in bytes.
const stderrPipe = 256 << 10

// stderrOwner is the session that has the standard error, nil if none has.
func stderrOwner() *core {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	if stderrNow.r == nil {
		return nil
	}
	return stderrNow.r.owner
}

// redirectStderr has descriptor 2 go to the client. Doing so twice is no error.
func (s *Session) redirectStderr() error {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	if r := stderrNow.r; r != nil && r.owner != s.core {
		return fmt.Errorf("the session of pid %d has it; it can be at one place at a time", r.owner.cred.PID)
	} else if r != nil {
		return nil
	}
	if s.script {
		return errors.New("a script's output is that of its command; use a session")
	}
	if s.ended {
		return errGone // nobody would take it back
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
		owner: s.core,
		to:    s.out.View(),
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

// restoreStderr gives the program its descriptor 2 back; false if the session
// does not have it.
func (s *Session) restoreStderr() bool {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	return s.restoreLocked()
}

// endStderr does so for good: a command that was left running cannot take it
// again.
func (s *Session) endStderr() {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	s.ended = true
	s.restoreLocked()
}

// restoreLocked is restoreStderr. The caller holds stderrNow.
func (s *Session) restoreLocked() bool {
	r := stderrNow.r
	if r == nil || r.owner != s.core {
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
