package oneshot

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	"github.com/gomanhole/oneshot/internal/asynclog"
	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/notice"
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
	// ErrLineTooLong is what Session.ReadLine returns for a line of more than 64 KiB,
	// which was not kept. The next line can be read.
	ErrLineTooLong = clientio.ErrTooLong
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

// Installed returns the manhole of this process, nil if there is none.
func Installed() *Manhole {
	installed.Lock()
	defer installed.Unlock()
	return installed.m
}

// Path returns where the socket stands while a window is open.
func (m *Manhole) Path() string { return m.home.Load().path }

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
