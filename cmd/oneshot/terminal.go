//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// errEnded is the end of a session that the person did not ask for.
var errEnded = errors.New("the session was ended by the program")

// interact gives a person the session on conn, on a terminal in and out. It
// returns, with conn closed, when the session has ended or the person leaves, and
// the terminal is as it was before, even if the process is ended by a signal
// meanwhile. The error is errEnded if the session ended by itself.
func interact(conn *net.UnixConn, in, out *os.File) error {
	defer conn.Close()
	t, err := takeTTY(in, out)
	if err != nil {
		return fmt.Errorf("the terminal: %w", err)
	}
	defer t.closeWake()
	defer t.restore(true)

	d := newDialog(conn, t)
	o := d.run()
	t.restore(true)
	if d.past.failed != nil {
		fmt.Fprintf(os.Stderr, "oneshot: the history is not kept: %v\n", d.past.failed)
	}
	switch {
	case o.panicked != nil:
		panic(o.panicked)
	case o.signal != nil:
		_ = unix.Kill(os.Getpid(), o.signal.(syscall.Signal))
		time.Sleep(time.Second) // it is not the end if the program handles it
		return fmt.Errorf("%w by %v", errInterrupted, o.signal)
	}
	return o.err
}

// errInterrupted is the end by a signal.
var errInterrupted = errors.New("interrupted")

// outcome is how a dialog has ended.
type outcome struct {
	err      error
	panicked any
	signal   os.Signal
}

// promptWait is how long nothing has to follow a prompt, or the beginning of a
// line, until it is shown.
const promptWait = 20 * time.Millisecond

// dialog is a session with a person. The goroutines are: read takes the keys and
// acts at once on those that must not wait; edit is the line editor, which sends
// lines; send writes to the session; receive shows what the session says.
type dialog struct {
	conn      *net.UnixConn
	tty       *tty
	term      *term.Terminal
	keyboard  *keyboard
	send      *sender
	past      *lineHistory
	ended     chan outcome // of capacity 1: the first one counts
	continued chan struct{}

	leaving     atomic.Bool // the writing side is closed, or about to be
	interrupted atomic.Bool // Ctrl-C was sent, and no prompt has come since
	typed       atomic.Bool // there may be something in the line

	mu       sync.Mutex // guards what follows; the editor's own lock comes after it
	text     sessionText
	prompted bool     // the prompt is shown: the session waits for a line
	ahead    []string // lines that were sent before there was a prompt for them
	exiting  bool     // one of the lines ends the session

	complete func(line string, pos int) (newLine string, newPos int, several []string)
	tabbed   string // the line in which Tab was pressed last, and found several; of edit
}

// maxAhead is how many lines are shown again when the session comes to them.
const maxAhead = 1024

func newDialog(conn *net.UnixConn, t *tty) *dialog {
	d := &dialog{
		conn: conn, tty: t, keyboard: newKeyboard(), send: newSender(conn), past: openHistory(), complete: complete,
		ended: make(chan outcome, 1), continued: make(chan struct{}, 1),
	}
	d.text.colours = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	d.term = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{d.keyboard, t}, "")
	d.term.History = d.past
	d.term.AutoCompleteCallback = d.key
	_ = d.term.SetSize(t.size()) // nothing is drawn yet
	return d
}

// run has the dialog until it ends, in whatever way.
func (d *dialog) run() outcome {
	fatal, window := make(chan os.Signal, 1), make(chan os.Signal, 1)
	for _, sig := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM} {
		if !signal.Ignored(sig) {
			signal.Notify(fatal, sig)
		}
	}
	signal.Notify(window, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(fatal)

	var all sync.WaitGroup
	for _, f := range []func(){d.read, d.edit, d.send.run, d.receive, func() { d.watch(window) }} {
		all.Go(func() {
			defer d.caught()
			f()
		})
	}
	var o outcome
	select {
	case o = <-d.ended:
	case o.signal = <-fatal:
	}
	signal.Stop(window)
	close(window)
	d.conn.Close()
	d.keyboard.close()
	d.send.close()
	d.tty.stop()
	over := make(chan struct{})
	go func() {
		all.Wait()
		close(over)
	}()
	select {
	case <-over:
		if d.prompted || d.text.begun || d.typed.Load() {
			_, _ = d.tty.Write([]byte("\r\n"))
		}
	case <-time.After(time.Second): // the terminal takes nothing
	}
	return o
}

func (d *dialog) end(o outcome) {
	select {
	case d.ended <- o:
	default:
	}
}

// caught hands a panic to interact's own goroutine, which has the terminal to
// restore.
func (d *dialog) caught() {
	if v := recover(); v != nil {
		d.end(outcome{panicked: v})
	}
}

// watch follows the window's size, and what happens to the process.
func (d *dialog) watch(signals <-chan os.Signal) {
	for sig := range signals {
		if sig == syscall.SIGCONT {
			select {
			case d.continued <- struct{}{}:
			default:
			}
			d.tty.raw() // it may have been stopped by another signal than ours
			d.keyboard.redraw()
		}
		d.tty.together(func() { _ = d.term.SetSize(d.tty.size()) })
	}
}
