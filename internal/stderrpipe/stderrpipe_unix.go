//go:build linux || darwin || freebsd

// Package stderrpipe copies what the process writes to descriptor 2 to a session, for
// as long as the session wants it. It knows nothing about commands.
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

// redirect is the state while descriptor 2 is a pipe to a session. Descriptor 2 is not
// the client's socket itself: then the program would die of SIGPIPE when the client
// goes, and would wait when the client does not read. The pipe is non-blocking: a write
// to a full pipe fails. The goroutine that reads the pipe outlives the client.
type redirect struct {
	owner *Holder
	to    *clientio.Output
	saved *os.File      // the file that descriptor 2 was before
	pipe  unixsock.ID   // the pipe that descriptor 2 is now
	log   chan []byte   // the bytes to write to saved, which may block
	ended chan struct{} // closed when no process can write to the pipe any more

	mu       sync.Mutex // guards detached
	detached bool       // the client gets no more output
}

// stderrNow has the redirect of the process. There is at most one at a time.
var stderrNow struct {
	sync.Mutex
	r *redirect
}

// stderrPipe is the size of the pipe. The program can write that many bytes before the
// pipe is read.
const stderrPipe = 256 << 10

// Take redirects descriptor 2 to the holder. It returns nil if the holder already has
// it, and an error if another holder has it.
func Take(h *Holder) error {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	if r := stderrNow.r; r != nil && r.owner != h {
		return fmt.Errorf("the session of pid %d has it; only one session at a time can have it", r.owner.PID)
	} else if r != nil {
		return nil
	}
	if h.ended {
		return errors.New("the session has ended") // nothing would give the descriptor back
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
	read, write, err := os.Pipe() // both ends are non-blocking
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
				err = os.NewSyscallError("dup2", unixsock.Dup2(int(fd), 2)) // the last step, since it cannot be undone
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

// forward copies what the program writes, until no process can write to the pipe any
// more. Then the program has its own descriptor back, and the children that have
// inherited the pipe have ended. They would die of SIGPIPE if the pipe were closed
// earlier.
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

// At most maxLogged pieces of at most logged bytes wait to be written to saved.
const (
	maxLogged = 64
	logged    = 32 << 10
)

// pass sends a piece to the client, and to the file that descriptor 2 was before.
func (r *redirect) pass(p []byte) {
	select {
	case r.log <- p:
	default: // saved blocks; do not wait for it
	}
	r.mu.Lock()
	detached := r.detached
	r.mu.Unlock()
	if !detached {
		if _, err := r.to.Write(p); err == nil {
			_ = r.to.Flush() // the session notices a client that is gone
		}
	}
}

// writeLog writes to saved, in a goroutine of its own since that may block.
func (r *redirect) writeLog() {
	defer r.saved.Close()
	for p := range r.log {
		_, _ = r.saved.Write(p)
	}
}

// Current returns the holder that has descriptor 2. It returns nil if there is none.
func Current() *Holder {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	if stderrNow.r == nil {
		return nil
	}
	return stderrNow.r.owner
}

// Give gives descriptor 2 back to the program. It returns false if the holder does not
// have it.
func Give(h *Holder) bool {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	return giveLocked(h)
}

// End does what Give does, and prevents the holder from taking the descriptor again. A
// command of its session may still be running.
func End(h *Holder) {
	stderrNow.Lock()
	defer stderrNow.Unlock()
	h.ended = true
	giveLocked(h)
}

// giveLocked does the work of Give. The caller holds stderrNow.
func giveLocked(h *Holder) bool {
	r := stderrNow.r
	if r == nil || r.owner != h {
		return false
	}
	stderrNow.r = nil
	// Meanwhile the program may have replaced descriptor 2, with a new log for example.
	if now, err := unixsock.IDOf(2); err == nil && now == r.pipe {
		if raw, err := r.saved.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { _ = unixsock.Dup2(int(fd), 2) }) // both are open
		}
	}
	_ = debug.SetCrashOutput(nil, debug.CrashOptions{})
	// The client still gets what was written before.
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
