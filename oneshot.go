package oneshot

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	"github.com/gomanhole/oneshot/internal/asynclog"
	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/trigger"

	"github.com/gomanhole/oneshot/internal/trap"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// The errors that a caller may want to tell apart, with errors.Is.
var (
	// ErrAlreadyInstalled is what a second Install returns without Reinstall.
	ErrAlreadyInstalled = errors.New("oneshot: a manhole is installed in this process already; set Reinstall to replace it")
	// ErrConfigurationConflict is what Install returns if OneshotOn and
	// ActivateOn are the same signal.
	ErrConfigurationConflict = errors.New("oneshot: OneshotOn and ActivateOn are the same signal; choose another for one of them")
	// ErrNotInstalled is what a manhole returns after its Uninstall.
	ErrNotInstalled = errors.New("oneshot: the manhole is not installed (any more)")
	// ErrPathInUse says that another socket, with a process behind it, stands
	// at the manhole's path. That socket is left alone.
	ErrPathInUse = unixsock.ErrInUse
	// ErrUnsupported is what Install returns on an operating system other
	// than Linux, darwin and FreeBSD.
	ErrUnsupported = errors.New("oneshot: not supported on this operating system")
)

// Manhole is the installed thing. Its methods may be called from any goroutine.
type Manhole struct {
	opts      Options // with the defaults filled in
	commands  []*Command
	home      atomic.Pointer[home]
	log       asynclog.Log
	oracle    *sigthread.Oracle
	notice    notice.Page
	trap      *trap.Trap     // nil: windows are guarded by signal.Notify
	quit      chan struct{}  // closed by Uninstall
	signals   chan os.Signal // OneshotOn comes here
	activates chan os.Signal // and ActivateOn here
	trigger   *trigger.File  // nil: no TriggerFile
	receiver  sync.WaitGroup // the one goroutine that has the receiver's place

	leftBehind atomic.Int32 // commands that did not stop and are running still
	dismissing atomic.Int32 // clients that were refused and are still reading why

	mu     sync.Mutex // guards what follows
	undone bool
	win    *window       // the open one, or that which is being shut
	inside []*core       // sessions
	left   chan struct{} // closed when the last of them has ended
	active *activation   // nil: not active
}

// installed is the one manhole of the process.
var installed struct {
	sync.Mutex
	m *Manhole
}

// Install arms the manhole of this process; there is one at a time. It creates
// no file and opens no descriptor that stays. On an error nothing is installed,
// and an earlier manhole that was to be replaced is still there.
func Install(o Options) (*Manhole, error) {
	if !unixsock.Supported {
		return nil, ErrUnsupported
	}
	m := &Manhole{
		opts: o.withDefaults(),
		log:  asynclog.Log{Logger: o.Logger},
		quit: make(chan struct{}),
	}
	if err := checkSignals(o); err != nil {
		return nil, err
	}
	if err := checkLocals(o.Locals); err != nil {
		return nil, err
	}
	var err error
	if m.commands, err = allCommands(o.Commands); err != nil {
		return nil, err
	}
	home, err := newHome(m.opts.SocketPath, m.opts.ReinstallDelay)
	if err != nil {
		return nil, err
	}
	m.home.Store(home)

	installed.Lock()
	defer installed.Unlock()
	earlier := installed.m
	if earlier != nil && !o.Reinstall {
		return nil, ErrAlreadyInstalled
	}
	if o.TriggerFile != "" {
		if m.trigger, err = trigger.New(o.TriggerFile, trigger.Config{
			Process: func() (int, bool) { p := m.home.Load().proc; return p.pid, p.isThis() },
			Open:    func() { m.open() },
			Log:     &m.log,
		}); err != nil {
			return nil, err
		}
	}
	m.oracle = sigthread.New()
	// The new subscription stands before the old one goes, so that a signal
	// between the two is not lost, nor deadly if it is one that kills.
	m.signals, m.activates = make(chan os.Signal, 1), make(chan os.Signal, 1)
	if o.OneshotOn != nil {
		signal.Notify(m.signals, o.OneshotOn)
	}
	if o.ActivateOn != nil {
		signal.Notify(m.activates, o.ActivateOn)
	}
	if earlier != nil {
		earlier.undo()
	}
	m.setTrap()
	m.notice = notice.Post(m.opts.notice())
	if earlier != nil {
		home.wait(m.opts.ReinstallDelay)
	}
	if !o.NoReceiver && len(m.Signals()) > 0 {
		m.startReceiver()
	}
	installed.m = m
	if why := replaceable(home.path); why != "" {
		m.log.Warn("another user can put a socket in place of the manhole's", "path", home.path, "reason", why)
	}
	return m, nil
}

func (m *Manhole) startReceiver() {
	m.receiver.Add(1)
	ours.Go(m.receive)
}

// receive is the receiver: it waits for the signal where the program does not.
// The goroutine that has the signal runs the window itself, since to start
// another first would only delay it, and leaves its place to a new receiver
// as soon as it would have to wait for a client.
func (m *Manhole) receive() {
	for {
		select {
		case <-m.signals:
			if w, mine, err := m.activate(); err == nil && mine {
				w.replace = func() {
					m.startReceiver()
					m.receiver.Done()
				}
				w.live()
				return
			}
		case <-m.activates:
			_ = m.Activate() // it is uninstalled, or it is not
		case <-m.triggered():
			m.trigger.Drain()
		case <-m.quit:
			m.receiver.Done()
			return
		}
	}
}

// Installed returns the manhole of this process, nil if there is none.
func Installed() *Manhole {
	installed.Lock()
	defer installed.Unlock()
	return installed.m
}

// Path returns where the socket stands while a window is open.
func (m *Manhole) Path() string { return m.home.Load().path }

// Signals returns what a program with NoReceiver and a signal loop of its own
// has to pass to signal.Notify for the manhole; it calls Handle with what comes.
func (m *Manhole) Signals() []os.Signal {
	var sigs []os.Signal
	for _, sig := range []os.Signal{m.opts.OneshotOn, m.opts.ActivateOn} {
		if sig != nil {
			sigs = append(sigs, sig)
		}
	}
	if m.trigger != nil {
		sigs = append(sigs, trigger.Signal)
	}
	return sigs
}

// triggered is where the signal of the trigger file comes; nil without one.
func (m *Manhole) triggered() chan os.Signal {
	if m.trigger == nil {
		return nil
	}
	return m.trigger.Signals
}

// isOwn reports whether a signal is one of the manhole's.
func (m *Manhole) isOwn(sig os.Signal) bool {
	return sig != nil && (sig == m.opts.OneshotOn || sig == m.opts.ActivateOn)
}

// Uninstall closes the window if one is open, removes its socket, ends the
// receiver and deactivates. Running sessions may finish; Drain waits for them. A
// second call returns ErrNotInstalled. Call it before the program exits, as one
// closes a listener: os.Exit leaves no time for anything.
func (m *Manhole) Uninstall() error {
	installed.Lock()
	defer installed.Unlock()
	if installed.m != m {
		return ErrNotInstalled
	}
	installed.m = nil
	m.undo()
	m.log.Flush(flushTime)
	return nil
}

// undo ends everything of the manhole but its sessions. The caller holds the
// lock of installed, which no goroutine of the manhole takes.
func (m *Manhole) undo() {
	m.mu.Lock()
	m.undone = true
	w := m.win
	m.mu.Unlock()
	close(m.quit)
	m.Deactivate()
	if w != nil {
		w.shut(errUninstalled)
		<-w.done
	}
	signal.Stop(m.signals)
	signal.Stop(m.activates)
	m.receiver.Wait()
	if m.trigger != nil {
		m.trigger.Close()
	}
	if m.trap != nil {
		m.trap.Release()
	}
	m.notice.Remove()
}

// Handle is for the program's own signal loop: pass it every signal that comes,
// and go on with the next if it returns true, since the signal was the
// manhole's. It never blocks. SIGTERM, SIGINT and SIGHUP are never its own, but
// remove the socket of an open window before Handle returns, so that the
// program may exit at once.
func (m *Manhole) Handle(sig os.Signal) bool {
	if m.trigger != nil && sig == trigger.Signal {
		return m.trigger.Drain()
	}
	if !m.isOwn(sig) {
		if isTerminating(sig) {
			m.shutWindow(closedBy{sig})
		}
		return false
	}
	if sig == m.opts.ActivateOn {
		select {
		case <-m.activates: // the same signal, which would be for Wait
		default:
		}
		return m.Activate() == nil
	}
	select {
	case <-m.signals: // the same signal, which would be for Wait
	default:
	}
	return m.open()
}

// open is activate for callers who have something else to do.
func (m *Manhole) open() bool {
	w, mine, err := m.activate()
	if mine {
		ours.Go(w.live)
	}
	return err == nil
}

// Wait waits for the signals sigs on behalf of the program, and for the
// manhole's own if NoReceiver is set, to which it sees itself. It returns the
// first of sigs that comes, after closing an open window and removing its
// socket; a program usually calls it at the end of main:
//
//	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
//
// The error is ctx's if that ends first, and ErrNotInstalled once the manhole
// is uninstalled. The manhole's signal is kept from Install on until a Wait; the
// program's own are listened to during Wait only.
func (m *Manhole) Wait(ctx context.Context, sigs ...os.Signal) (os.Signal, error) {
	c := make(chan os.Signal, len(sigs)+1)
	if len(sigs) > 0 { // Notify without signals would mean every signal
		signal.Notify(c, sigs...)
		defer signal.Stop(c)
	}
	own, activates, triggered := m.signals, m.activates, m.triggered()
	if !m.opts.NoReceiver {
		own, activates, triggered = nil, nil, nil
	}
	for {
		select {
		case <-own:
			m.open()
		case <-activates:
			_ = m.Activate() // it is uninstalled, or it is not
		case <-triggered:
			m.trigger.Drain()
		case sig := <-c:
			if m.isOwn(sig) {
				continue // asked for by mistake; it has come to own as well
			}
			m.shutWindow(closedBy{sig})
			return sig, nil
		case <-m.quit:
			return nil, ErrNotInstalled
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// shutWindow closes the window if one is open.
func (m *Manhole) shutWindow(why error) {
	m.mu.Lock()
	w := m.win
	m.mu.Unlock()
	if w != nil {
		w.shut(why)
	}
}
