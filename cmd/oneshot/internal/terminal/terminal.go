//go:build unix

// Package terminal connects a person at a terminal with a session. It edits
// lines, completes commands, keeps a history, turns Ctrl-C and Ctrl-D into what
// the session understands, escapes the session's output, and restores the
// terminal however the session ends.
//
// It gets a connected socket. It must not know which process is at the other end,
// how the socket was found or opened, or which signals are involved.
package terminal

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

var (
	errEnded       = errors.New("the program has ended the session")
	errInterrupted = errors.New("interrupted")
)

// Interact connects the session on conn with the terminal in and out. It returns
// when the session has ended or the person has left it. By then it has closed conn
// and restored the terminal. It restores the terminal even if a signal or a panic
// ends the process. The error is nil if the person has left.
func Interact(conn *net.UnixConn, in, out *os.File) error {
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
	if d.history.failed != nil {
		fmt.Fprintf(os.Stderr, "oneshot: the history cannot be saved: %v\n", d.history.failed)
	}
	switch {
	case o.panicked != nil:
		panic(o.panicked)
	case o.signal != nil:
		_ = unix.Kill(os.Getpid(), o.signal.(syscall.Signal))
		time.Sleep(time.Second) // a process that handles the signal goes on
		return fmt.Errorf("%w by %v", errInterrupted, o.signal)
	}
	return o.err
}

// outcome says how a dialog has ended.
type outcome struct {
	err      error
	panicked any
	signal   os.Signal
}

// promptDelay is how long a prompt, or the beginning of a line, is kept back. It is
// shown if nothing follows it in this time.
const promptDelay = 20 * time.Millisecond

// maxAhead is how many lines that are typed ahead are shown again when the session
// runs them.
const maxAhead = 1024

// dialog is a session with a person. Its goroutines are: readKeys reads the
// keyboard and acts at once on keys that must not wait; edit runs the line editor
// and sends lines; sender.run writes to the session; receive shows the output of
// the session; watch handles signals.
type dialog struct {
	conn      *net.UnixConn
	tty       *tty
	editor    *term.Terminal
	keyboard  *keyboard
	sender    *sender
	history   *lineHistory
	queries   *queries
	ended     chan outcome // of capacity 1: the first outcome counts
	continued chan struct{}

	leaving     atomic.Bool // the writing side is closed, or about to be
	interrupted atomic.Bool // Ctrl-C was sent and no prompt has come since
	typed       atomic.Bool // the line may have characters

	mu       sync.Mutex // guards the fields below; lock it before the editor's own lock
	text     sessionText
	prompted bool     // the prompt is shown: the session waits for a line
	ahead    []string // lines that were sent before there was a prompt for them
	exiting  bool     // one of the lines that were sent ends the session

	searchPrompt string // the prompt of a search in the history; empty: there is none

	complete func(line string, pos int) (newLine string, newPos int, candidates []string)
	search   search
	tabbed   string // the text before the cursor after the last Tab; used by the editor's goroutine only
}

func newDialog(conn *net.UnixConn, t *tty) *dialog {
	d := &dialog{
		conn: conn, tty: t, keyboard: newKeyboard(), sender: newSender(conn), history: openHistory(), queries: newQueries(),
		ended: make(chan outcome, 1), continued: make(chan struct{}, 1),
	}
	d.complete = d.completeWord
	d.text.columns = func() int { width, _ := t.size(); return width }
	d.text.colours = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	d.editor = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{&searchKeys{keyboard: d.keyboard, search: &d.search}, t}, "")
	d.editor.History = d.history
	d.editor.AutoCompleteCallback = d.key
	_ = d.editor.SetSize(t.size()) // an error is impossible: nothing is drawn yet
	return d
}

// run runs the dialog until it ends.
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
	for _, f := range []func(){d.readKeys, d.edit, d.sender.run, d.receive, func() { d.watch(window) }} {
		all.Go(func() {
			defer d.recoverPanic()
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
	d.sender.close()
	d.tty.stopReading()
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
		if d.prompted || d.text.begun || d.typed.Load() {
			_, _ = d.tty.Write([]byte("\r\n"))
		}
	case <-time.After(time.Second): // a write to the terminal blocks
	}
	return o
}

// end ends the dialog, unless it is ending already.
func (d *dialog) end(o outcome) {
	select {
	case d.ended <- o:
	default:
	}
}

// recoverPanic passes a panic on to the goroutine of Interact, which restores the
// terminal first.
func (d *dialog) recoverPanic() {
	if v := recover(); v != nil {
		d.end(outcome{panicked: v})
	}
}

// watch handles a new window size, and SIGCONT after the process was stopped.
func (d *dialog) watch(signals <-chan os.Signal) {
	for sig := range signals {
		if sig == syscall.SIGCONT {
			select {
			case d.continued <- struct{}{}:
			default:
			}
			d.tty.makeRaw() // after a stop by another signal, suspend does not do it
			d.keyboard.redraw()
		}
		d.tty.batched(func() { _ = d.editor.SetSize(d.tty.size()) })
	}
}
