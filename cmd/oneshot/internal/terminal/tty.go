//go:build unix

package terminal

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// tty is a terminal in raw mode. Reading from it can be stopped, and several writes
// to it can be joined into one.
type tty struct {
	in, out *os.File
	fd      int
	before  *term.State
	wake    [2]*os.File // a pipe; a byte in it makes read return

	mode     sync.Mutex // guards restored
	restored bool       // for good

	mu      sync.Mutex // guards the fields below; it is held while a write to the terminal blocks
	batches int        // the number of running calls of batched
	batch   []byte     // what they have written
}

// takeTTY switches the terminal to raw mode.
func takeTTY(in, out *os.File) (*tty, error) {
	t := &tty{in: in, out: out, fd: int(in.Fd())}
	var err error
	if t.wake[0], t.wake[1], err = os.Pipe(); err != nil {
		return nil, err
	}
	if t.before, err = term.MakeRaw(t.fd); err != nil {
		t.closeWake()
		return nil, err
	}
	return t, nil
}

func (t *tty) closeWake() {
	t.wake[0].Close()
	t.wake[1].Close()
}

// restore switches the terminal back to its old mode, for good or until makeRaw is
// called.
func (t *tty) restore(forGood bool) {
	t.mode.Lock()
	defer t.mode.Unlock()
	t.restored = t.restored || forGood
	_ = term.Restore(t.fd, t.before) // it fails if the terminal is gone
}

// makeRaw switches the terminal to raw mode again. The kernel stops a process that
// does this in the background (SIGTTOU).
func (t *tty) makeRaw() {
	t.mode.Lock()
	defer t.mode.Unlock()
	if !t.restored {
		_, _ = term.MakeRaw(t.fd)
	}
}

// errStopped is returned by read after stopReading.
var errStopped = errors.New("stopped")

// read reads keys. It returns errStopped after stopReading. A blocked read(2) could
// not be interrupted, so select(2) waits for the keys first.
func (t *tty) read(p []byte) (int, error) {
	end := int(t.wake[0].Fd())
	for {
		var set unix.FdSet
		set.Set(t.fd)
		set.Set(end)
		_, err := unix.Select(max(t.fd, end)+1, &set, nil, nil, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, err
		case set.IsSet(end):
			return 0, errStopped
		}
		n, err := unix.Read(t.fd, p)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// stopReading makes read return.
func (t *tty) stopReading() { _, _ = t.wake[1].Write([]byte{0}) }

// Write implements io.Writer.
func (t *tty) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.batches > 0 {
		t.batch = append(t.batch, p...)
		return len(p), nil
	}
	return t.out.Write(p)
}

// batched calls f and joins everything that f writes into one write. The line editor
// would write each line separately.
func (t *tty) batched(f func()) {
	t.mu.Lock()
	t.batches++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.batches--; t.batches == 0 && len(t.batch) > 0 {
			_, _ = t.out.Write(t.batch) // readKeys reports an error if the terminal is gone
			t.batch = t.batch[:0]
		}
	}()
	f()
}

// size returns the size of the window, or 80 by 24 if it is not known.
func (t *tty) size() (width, height int) {
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// suspend stops the process group and returns when it continues. A terminal that is
// not raw does the same on Ctrl-Z. Nothing happens if no shell can continue the
// group: the kernel ignores SIGTSTP in an orphaned process group.
func (t *tty) suspend(continued <-chan struct{}) {
	t.restore(false)
	select {
	case <-continued: // of an earlier stop
	default:
	}
	_ = unix.Kill(0, syscall.SIGTSTP)
	select {
	case <-continued:
	case <-time.After(200 * time.Millisecond): // if the group was not stopped: a stop happens in Kill, before the timer starts
	}
	t.makeRaw()
}
