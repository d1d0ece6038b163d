package oneshot

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/trigger"
)

// This file: the three ways to wait for the signal. They are the receiver, Handle
// and Wait.

func (m *Manhole) startReceiver(over <-chan struct{}) {
	m.receiver.Add(1)
	ours.Go(func() { m.receive(over) })
}

// receive is the receiver: it waits for the signal if the program does not. It runs
// the window on its own goroutine, because starting another goroutine first would
// delay the window. As soon as the window would have to wait for a client, a new
// receiver takes its place. It ends when over is closed.
func (m *Manhole) receive(over <-chan struct{}) {
	for {
		select {
		case sig := <-m.signals:
			if !m.took(sig) {
				continue
			}
			if w, mine, err := m.activate(); err == nil && mine {
				w.startNextReceiver = func() {
					m.startReceiver(over)
					m.receiver.Done()
				}
				m.serveWindow(w)
				return
			}
		case sig := <-m.activates:
			if m.took(sig) {
				_ = m.Activate() // the only error is ErrNotInstalled
			}
		case sig := <-m.report.Signals:
			if m.took(sig) {
				m.report.Received()
			}
		case <-m.triggered():
			m.trigger.DrainBeside()
		case <-m.announced:
			m.heedAnnounced(true)
		case <-over:
			m.receiver.Done()
			return
		case <-m.quit:
			m.receiver.Done()
			return
		}
	}
}

// standIn is a receiver for a program with NoReceiver that does not wait any more: Wait
// has returned, or Handle was called with a signal that ends the program. A shutdown that
// hangs can then be looked into. Its fields are guarded by Manhole.mu.
type standIn struct {
	waits int               // calls of Wait that have not returned
	over  chan struct{}     // closed to end the receiver; nil: there is none
	taken map[os.Signal]int // signals that it has received, and that Handle has not got yet

	handled map[os.Signal]twin // signals that Handle has got, and that have not come here yet
}

// twin is a signal that Handle has got before it was in the queue for Wait.
type twin struct {
	at    time.Time
	queue <-chan os.Signal
}

// twinTime is how much later than the program's loop the stand-in may receive a signal. The
// runtime sends it to both at once, but the thread that does so may have no CPU in between.
const twinTime = time.Second

// stopWaiting starts the stand-in, if the program does not wait for the manhole's signals.
// waits is the number of calls of Wait that have returned.
func (m *Manhole) stopWaiting(waits int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.standIn
	s.waits -= waits
	if !m.opts.NoReceiver || m.uninstalled || s.waits > 0 || s.over != nil || len(m.Signals()) == 0 {
		return
	}
	for sig, h := range s.handled {
		select {
		case <-h.queue: // it came a moment later
			delete(s.handled, sig)
		default:
		}
	}
	s.over, s.taken = make(chan struct{}), make(map[os.Signal]int)
	m.startReceiver(s.over)
}

// startWaiting is called when Wait begins. It ends the stand-in.
func (m *Manhole) startWaiting() {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.standIn
	s.waits++
	if s.over != nil {
		close(s.over)
		s.over, s.taken = nil, nil
	}
}

// took notes that the stand-in has received a signal. The program's own loop, which may
// still run, gets the same signal. took returns false if it has got it already.
func (m *Manhole) took(sig os.Signal) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.standIn
	if h, ok := s.handled[sig]; ok {
		delete(s.handled, sig)
		if time.Since(h.at) < twinTime {
			return false
		}
	}
	if s.taken != nil {
		s.taken[sig]++
	}
	return true
}

// wasTaken reports whether the stand-in has received this signal already. If not, it takes
// the signal out of the queue for Wait and the stand-in, or notes that it may still come
// there. queue may be nil.
func (m *Manhole) wasTaken(sig os.Signal, queue <-chan os.Signal) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &m.standIn
	if s.taken[sig] > 0 {
		s.taken[sig]--
		return true
	}
	select {
	case <-queue:
	default:
		if queue != nil && m.opts.NoReceiver {
			if s.handled == nil {
				s.handled = make(map[os.Signal]twin)
			}
			s.handled[sig] = twin{time.Now(), queue}
		}
	}
	return false
}

// Signals returns the signals of the manhole. A program with NoReceiver and its own
// signal loop passes them to signal.Notify, with a channel that has room for several
// (os/signal drops a signal without room), and calls Handle with each that arrives.
func (m *Manhole) Signals() []os.Signal {
	if m == nil {
		return nil
	}
	var sigs []os.Signal
	for _, sig := range []os.Signal{m.opts.OneshotOn, m.opts.ActivateOn} {
		if sig != nil {
			sigs = append(sigs, sig)
		}
	}
	if m.reportsAlone() {
		sigs = append(sigs, m.opts.ReportOn)
	}
	if m.trigger != nil || m.announces() {
		sigs = append(sigs, trigger.Signal)
	}
	return sigs
}

// announces reports whether the trap sends SIGIO after a signal that ends the program.
func (m *Manhole) announces() bool { return m.opts.ShutdownReport > 0 && m.trap != nil }

// announce makes the trap do that.
func (m *Manhole) announce() {
	switch {
	case m.announces():
		signal.Notify(m.announced, trigger.Signal)
		m.trap.Announce(syscall.SIGTERM, syscall.SIGINT)
	case m.opts.ShutdownReport > 0 && !m.opts.NoReceiver:
		m.log.Warn("ShutdownReport does nothing here, since the package cannot see SIGTERM; use NoReceiver with Wait or Handle")
	}
}

// heedAnnounced begins the time of ShutdownReport if the trap has seen such a signal.
// beside means that the program's own loop may get the same SIGIO.
func (m *Manhole) heedAnnounced(beside bool) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.uninstalled || !m.announces() {
		return false
	}
	sig := m.trap.Announced()
	if sig != 0 {
		m.report.Ends(sig)
		if beside && m.standIn.taken != nil {
			m.standIn.taken[trigger.Signal] = 1
		}
	}
	return sig != 0
}

// ends reports whether a program that is subscribed to sig ends after it. SIGHUP often
// makes it read its configuration.
func ends(sig os.Signal) bool {
	return sig == syscall.SIGTERM || sig == syscall.SIGINT || sig == syscall.SIGQUIT
}

// reportsAlone reports whether there is a signal that writes a report and does nothing
// else.
func (m *Manhole) reportsAlone() bool {
	return m.opts.ReportOn != nil && m.opts.ReportOn != m.opts.OneshotOn
}

// triggered returns the channel for the signal of the trigger file, or nil if there
// is no trigger file.
func (m *Manhole) triggered() chan os.Signal {
	if m.trigger == nil {
		return nil
	}
	return m.trigger.Signals
}

// isManholeSignal reports whether sig is one of the manhole's signals.
func (m *Manhole) isManholeSignal(sig os.Signal) bool {
	return sig != nil && (sig == m.opts.OneshotOn || sig == m.opts.ActivateOn || sig == m.opts.ReportOn)
}

// Handle is for the program's own signal loop. Pass it every signal that arrives.
// If it returns true, the signal was for the manhole: go on with the next one.
// Handle does not wait for the file system or for a client. It never returns true
// for SIGTERM, SIGINT and SIGHUP, but it removes the socket of an open window before
// it returns, so the program may exit at once. If that takes more than half a second,
// because the file system is slow, Handle returns before it is done. From SIGTERM, SIGINT
// or SIGQUIT on, a goroutine of the manhole waits for its signals too, so that the door
// can be opened during a shutdown, when the loop has ended.
func (m *Manhole) Handle(sig os.Signal) bool {
	if m == nil {
		return false
	}
	if sig == trigger.Signal && (m.trigger != nil || m.announces()) {
		mine := m.heedAnnounced(false) || m.wasTaken(trigger.Signal, nil)
		return m.trigger != nil && m.trigger.Drain() || mine
	}
	if !m.isManholeSignal(sig) {
		if isTerminating(sig) {
			m.shutWindow(closedBy{sig})
		}
		if ends(sig) {
			m.report.Ends(sig)
			m.stopWaiting(0)
		}
		return false
	}
	report, activate := sig == m.opts.ReportOn && m.reportsAlone(), sig == m.opts.ActivateOn
	queue := m.signals
	switch {
	case report:
		queue = m.report.Signals
	case activate:
		queue = m.activates
	}
	switch {
	case m.wasTaken(sig, queue):
		return true
	case report:
		m.report.Request()
		return true
	case activate:
		return m.Activate() == nil
	}
	_, _, err := m.open()
	return err == nil
}

// Wait waits for the signals sigs on behalf of the program. With NoReceiver it
// waits for the manhole's signals too, and handles them. When one of sigs arrives,
// Wait closes an open window, removes its socket, and returns the signal. A program
// usually calls it at the end of main:
//
//	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
//
// The error is ctx's if ctx ends first, and ErrNotInstalled after the manhole is
// uninstalled. From Install on, a signal for the manhole is remembered until Wait
// is called. The program's own signals are only received during Wait. After it has
// returned, a goroutine of the manhole waits for the manhole's signals until Wait is
// called again or the manhole is uninstalled: the door can be opened in a shutdown that
// hangs.
func (m *Manhole) Wait(ctx context.Context, sigs ...os.Signal) (os.Signal, error) {
	if m == nil {
		m = &Manhole{} // it has no signals and no window
	}
	c := make(chan os.Signal, len(sigs)+1)
	if len(sigs) > 0 { // Notify without signals would mean every signal
		signal.Notify(c, sigs...)
		defer signal.Stop(c)
	}
	var oneshots, activates, reports, triggered, announced chan os.Signal
	if m.opts.NoReceiver {
		oneshots, activates, reports, triggered, announced = m.signals, m.activates, m.report.Signals, m.triggered(), m.announced
		m.startWaiting()
		defer m.stopWaiting(1)
	}
	for {
		select {
		case <-oneshots:
			_, _, _ = m.open() // an error is logged
		case <-activates:
			_ = m.Activate() // the only error is ErrNotInstalled
		case <-reports:
			m.report.Received()
		case <-triggered:
			m.trigger.Drain()
		case <-announced:
			m.heedAnnounced(false)
		case sig := <-c:
			if m.isManholeSignal(sig) {
				continue // the caller listed it by mistake; it arrives on the other channel as well
			}
			m.shutWindow(closedBy{sig})
			if ends(sig) {
				m.report.Ends(sig)
			}
			return sig, nil
		case <-m.quit:
			return nil, ErrNotInstalled
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// shutWindow closes the window if one is open. It waits until the socket is removed,
// removeTime at the longest.
func (m *Manhole) shutWindow(why error) {
	if w := m.window(); w != nil {
		ours.Go(func() { w.shut(why) })
		waitFor(w.gone)
	}
}

// window returns the open window, or nil if there is none.
func (m *Manhole) window() *window {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.win
}
