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
// to a full pipe fails. The goroutine that reads the pipe waits for nobody, and outlives
// the client. Each of those who get the bytes has a queue and a goroutine of its own.
type redirect struct {
	owner  *Holder
	to     *clientio.Output
	saved  *os.File      // the file that descriptor 2 was before
	pipe   unixsock.ID   // the pipe that descriptor 2 is now
	log    *queue        // the bytes for saved, which may block
	client *queue        // the bytes for the client, which may not read
	shown  chan struct{} // closed when the client has got everything, or gets nothing more
}

// stderrNow has the redirect of the process. There is at most one at a time.
var stderrNow struct {
	sync.Mutex
	r *redirect
}

const (
	// stderrPipe is the size of the pipe. The program can write that many bytes before
	// the pipe is read. It is what everybody may have on Linux (pipe-max-size in
	// proc(5)).
	stderrPipe = 1 << 20
	// maxLogged is how many bytes wait at most for saved, and maxShown for the client.
	maxLogged = 4 << 20
	maxShown  = 256 << 10
)

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
	if err := checkStderr(); err != nil {
		return err
	}
	saved, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	r := &redirect{
		owner:  h,
		to:     h.Out.View(),
		saved:  os.NewFile(uintptr(saved), "standard error"),
		log:    newQueue(maxLogged),
		client: newQueue(maxShown),
		shown:  make(chan struct{}),
	}
	read, err := r.redirect()
	if err != nil {
		r.saved.Close()
		return err
	}
	_ = debug.SetCrashOutput(r.saved, debug.CrashOptions{}) // best effort
	stderrNow.r = r
	ours.Go(func() { r.forward(read) })
	ours.Go(r.writeLog)
	ours.Go(r.show)
	return nil
}

// checkStderr returns an error if descriptor 2 cannot be redirected.
func checkStderr() error {
	flags, err := unix.FcntlInt(2, unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("descriptor 2 is not open: %w", err)
	}
	if flags&unix.O_NONBLOCK != 0 {
		return errors.New("descriptor 2 is in non-blocking mode, and the program may be waiting for it in the poller")
	}
	return nil
}

// redirect makes descriptor 2 a pipe, and returns the end from which it is read.
func (r *redirect) redirect() (*os.File, error) {
	read, write, err := os.Pipe() // both ends are non-blocking
	if err != nil {
		return nil, err
	}
	defer write.Close()
	raw, err := write.SyscallConn()
	if err == nil {
		growErr := raw.Control(func(fd uintptr) {
			unixsock.GrowPipe(int(fd), stderrPipe) // best effort
			if r.pipe, err = unixsock.IDOf(int(fd)); err == nil {
				err = os.NewSyscallError("dup2", dupSafely(int(fd), 2)) // the last step, since it cannot be undone
			}
		})
		err = cmp.Or(err, growErr)
	}
	if err != nil {
		read.Close()
		return nil, err
	}
	return read, nil
}

// forward copies what the program writes, until no process can write to the pipe any
// more. Then the program has its own descriptor back, and the children that have
// inherited the pipe have ended. They would die of SIGPIPE if the pipe were closed
// earlier.
func (r *redirect) forward(read *os.File) {
	defer r.client.end()
	defer r.log.end()
	defer read.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := read.Read(buf)
		r.log.add(buf[:n])
		r.client.add(buf[:n])
		if err != nil {
			return
		}
	}
}

// writeLog writes to saved, which may block.
func (r *redirect) writeLog() {
	defer r.saved.Close()
	for {
		p, _, ok := r.log.take()
		if !ok {
			return
		}
		_, _ = r.saved.Write(p)
	}
}

// show writes to the client, until it gets nothing more. The session notices a client
// that is gone.
func (r *redirect) show() {
	defer close(r.shown)
	for {
		p, lost, ok := r.client.take()
		if !ok {
			return
		}
		_, _ = r.to.Write(p)
		if lost > 0 {
			fmt.Fprintf(r.to, "\n(%d bytes of standard error were not shown here, since they came faster than they were read)\n", lost)
		}
		_ = r.to.Flush()
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
	case <-r.shown:
	case <-t.C:
	}
	r.client.drop()
	return true
}
