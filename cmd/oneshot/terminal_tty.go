//go:build unix

package main

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

// tty is a terminal in raw mode, from which keys can be read until it is given
// back, and to which can be written in one piece.
type tty struct {
	in, out *os.File
	fd      int
	before  *term.State
	wake    [2]*os.File // a pipe; a byte in it ends read

	mode sync.Mutex // guards back
	back bool       // the terminal is as it was

	mu      sync.Mutex // guards what follows, also while the terminal takes nothing
	batches int        // while there are any, what is written is collected
	batch   []byte
}

// takeTTY makes the terminal raw.
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

// restore makes the terminal what it was before, for good or until raw.
func (t *tty) restore(forGood bool) {
	t.mode.Lock()
	defer t.mode.Unlock()
	t.back = t.back || forGood
	_ = term.Restore(t.fd, t.before) // there may be no terminal any more
}

// raw makes the terminal raw again. In the background the kernel stops the
// process for it (SIGTTOU).
func (t *tty) raw() {
	t.mode.Lock()
	defer t.mode.Unlock()
	if !t.back {
		_, _ = term.MakeRaw(t.fd)
	}
}

// errStopped is the end of the reading of keys.
var errStopped = errors.New("stopped")

// read reads keys; errStopped after stop. The system call itself could not be
// ended.
func (t *tty) read(p []byte) (int, error) {
	end := int(t.wake[0].Fd())
	for {
		var set unix.FdSet
		set.Set(t.fd)
		set.Set(end)
		// select, since macOS has terminals that poll does not know.
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

// stop ends read.
func (t *tty) stop() { _, _ = t.wake[1].Write([]byte{0}) }

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

// together has all that f writes go out in one piece: the line editor writes
// every line for itself.
func (t *tty) together(f func()) {
	t.mu.Lock()
	t.batches++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.batches--; t.batches == 0 && len(t.batch) > 0 {
			_, _ = t.out.Write(t.batch) // the reader sees that the terminal is gone
			t.batch = t.batch[:0]
		}
	}()
	f()
}

// size is that of the window, or a usual one.
func (t *tty) size() (width, height int) {
	width, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// suspend stops the process group, as the terminal does on Ctrl-Z when it is not
// raw, and returns when it goes on. Nothing happens to a group that no shell looks
// after: the kernel ignores the signal then.
func (t *tty) suspend(continued <-chan struct{}) {
	t.restore(false)
	select {
	case <-continued: // an older one
	default:
	}
	_ = unix.Kill(0, syscall.SIGTSTP)
	select {
	case <-continued:
	case <-time.After(200 * time.Millisecond): // of which being stopped is no part, or the group was not
	}
	t.raw()
}
