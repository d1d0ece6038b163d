package oneshot

import (
	"cmp"
	"errors"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomanhole/oneshot/internal/access"
	"github.com/gomanhole/oneshot/internal/asynclog"
	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/guard"
	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/report"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/socketpath"
	"github.com/gomanhole/oneshot/internal/trap"
	"github.com/gomanhole/oneshot/internal/trigger"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// Errors that a caller can distinguish with errors.Is.
var (
	// ErrAlreadyInstalled is returned by a second Install without
	// Options.Reinstall.
	ErrAlreadyInstalled = errors.New("oneshot: a manhole is installed in this process already; set Reinstall to replace it")
	// ErrConfigurationConflict is returned by Install if OneshotOn and ActivateOn
	// are the same signal.
	ErrConfigurationConflict = errors.New("oneshot: OneshotOn and ActivateOn are the same signal; choose another for one of them")
	// ErrNotInstalled is returned by the methods of a manhole after its Uninstall,
	// and by those of a nil *Manhole.
	ErrNotInstalled = errors.New("oneshot: the manhole is not installed (any more)")
	// ErrPathInUse means that another socket, with a process behind it, exists at
	// the manhole's path. That socket is left alone.
	ErrPathInUse = unixsock.ErrInUse
	// ErrLineTooLong is returned by Session.ReadLine for a line of more than 64
	// KiB. The line is discarded. The next line can be read.
	ErrLineTooLong = clientio.ErrTooLong
	// ErrUnsupported is returned by Install on operating systems other than Linux,
	// darwin and FreeBSD.
	ErrUnsupported = errors.New("oneshot: not supported on this operating system")
)

// Manhole is an installed manhole; Install returns it. Its methods may be called
// from any goroutine.
//
// A program that could not install a manhole goes on with a nil *Manhole. Its
// methods behave as those of a manhole that nobody opens: Signals and Path return
// nothing, Handle returns false, Wait waits for the program's signals only, Drain
// has nothing to wait for, Deactivate does nothing, and Oneshot, Activate and
// Uninstall return ErrNotInstalled.
type Manhole struct {
	host
	instance  atomic.Pointer[instance]
	notice    notice.Page
	trap      *trap.Trap     // nil: windows are guarded by signal.Notify
	quit      chan struct{}  // closed by Uninstall
	signals   chan os.Signal // receives OneshotOn
	activates chan os.Signal // receives ActivateOn
	announced chan os.Signal // receives SIGIO, if the trap announces signals with it
	report    report.Reporter
	standIn   standIn
	trigger   *trigger.File  // nil: no TriggerFile
	receiver  sync.WaitGroup // the one goroutine that is the receiver

	mu          sync.Mutex // guards what follows
	uninstalled bool
	win         *window     // the open window, or the one that is being shut
	active      *activation // nil: not active
}

// installed holds the one manhole of the process.
var installed struct {
	sync.Mutex
	m *Manhole
}

// Install installs the manhole of this process. A process has one manhole at a
// time. Without a TriggerFile, Install creates no file and leaves no descriptor
// open. If it returns an error, nothing is installed, and an earlier manhole that
// should have been replaced is still installed. Log the error and go on: the nil
// *Manhole may be used, see there.
//
// The person who starts the program can forbid the manhole with ONESHOT=off in the
// environment. Then Install installs nothing, logs that, and returns nil and no error.
func Install(o Options) (*Manhole, error) {
	if forbidden() {
		log := asynclog.Log{Logger: o.Logger}
		log.Info("no manhole, because the environment forbids it", "variable", envName+"="+envOff)
		return nil, nil
	}
	if !unixsock.Supported {
		return nil, ErrUnsupported
	}
	m, err := newManhole(o)
	if err != nil {
		return nil, err
	}
	installed.Lock()
	defer installed.Unlock()
	earlier := installed.m
	if earlier != nil && !o.Reinstall {
		return nil, ErrAlreadyInstalled
	}
	if o.TriggerFile != "" {
		if m.trigger, err = m.watchTrigger(); err != nil {
			return nil, err
		}
	}
	m.arm(earlier)
	installed.m = m
	m.logInstalled(o.SocketPath == "")
	return m, nil
}

// logInstalled logs what the person who has installed the manhole should know.
func (m *Manhole) logInstalled(defaultPath bool) {
	path := m.Path()
	if why := socketpath.InsecureReason(path); why != "" {
		m.log.Warn("another user can put a socket in place of the manhole's", "path", path, "reason", why)
	}
	if defaultPath && m.opts.SocketPath != DefaultSocketPath {
		m.log.Info("no socket can be made at the default path; another one is used", "path", path, "default", DefaultSocketPath)
	}
	if more := access.More(); more != "" && m.opts.Authorize == nil {
		m.log.Warn("only root may enter, since the process may do more than its user", "reason", more)
	}
	if sigs := m.Signals(); m.opts.NoReceiver && len(sigs) > 0 {
		var names []string
		for _, sig := range sigs {
			names = append(names, sigset.NameOf(sig))
		}
		m.log.Info("installed without a receiver (NoReceiver): the program must call Wait, or Handle with each signal",
			"path", path, "signals", strings.Join(names, ","))
	}
}

// newManhole checks the options and returns a manhole that nothing opens yet.
func newManhole(o Options) (*Manhole, error) {
	m := &Manhole{
		quit:    make(chan struct{}),
		signals: make(chan os.Signal, 1), activates: make(chan os.Signal, 1), announced: make(chan os.Signal, 1),
	}
	m.greeting = func() []byte { return m.instance.Load().greeting }
	m.uptime = func() time.Duration { return m.instance.Load().proc.uptime() }
	m.disposition, m.deactivate, m.hears = m.dispositionOf, m.stopActive, m.mayHear
	o = o.withDefaults()
	if err := checkSignals(o); err != nil {
		return nil, err
	}
	if err := checkTimes(o); err != nil {
		return nil, err
	}
	if err := cmp.Or(checkNames("Locals", o.Locals), checkNames("Sections", o.Sections)); err != nil {
		return nil, err
	}
	if err := m.set(o); err != nil {
		return nil, err
	}
	if err := m.setReport(); err != nil {
		return nil, err
	}
	m.opts.SocketPath = socketpath.Usable(m.opts.SocketPath)
	at, err := newInstance(m.opts.SocketPath, m.opts.ReinstallDelay)
	if err != nil {
		return nil, err
	}
	m.instance.Store(at)
	return m, nil
}

// setReport passes on the options of reports.
func (m *Manhole) setReport() error {
	r, o := &m.report, m.opts
	r.Dir, r.Stderr, r.Log, r.Title, r.Hears, r.Shutdown = o.ReportDir, o.ReportStderr, &m.log, m.greeting, m.hears, o.ShutdownReport
	if m.reportsAlone() {
		r.Signal = o.ReportOn
	}
	return r.Check()
}

func (m *Manhole) watchTrigger() (*trigger.File, error) {
	return trigger.New(m.opts.TriggerFile, trigger.Config{
		Process: func() (int, bool) { p := m.instance.Load().proc; return p.pid, p.isThis() },
		Open:    func() { _, _, _ = m.open() },
		Report:  m.report.Request,
		Log:     &m.log,
	})
}

// arm makes the signals open the manhole, in place of the earlier one if there is one.
func (m *Manhole) arm(earlier *Manhole) {
	m.oracle = sigthread.New() // under the lock of installed, since it subscribes to signals
	// Subscribe before the old manhole unsubscribes. A signal in between is then
	// not lost, and does not kill the process if its default action is to kill.
	if m.opts.OneshotOn != nil {
		signal.Notify(m.signals, m.opts.OneshotOn)
	}
	if m.opts.ActivateOn != nil {
		signal.Notify(m.activates, m.opts.ActivateOn)
	}
	m.report.Start()
	if earlier != nil {
		earlier.undo()
	}
	m.setTrap()
	m.announce()
	m.notice = notice.Post(notice.Of(m.opts.SocketPath, m.opts.TriggerFile, m.opts.OneshotOn, m.opts.ActivateOn, m.opts.NoReceiver))
	if earlier != nil {
		m.instance.Load().wait(m.opts.ReinstallDelay)
	}
	if !m.opts.NoReceiver && len(m.Signals()) > 0 {
		m.startReceiver(nil)
	}
}

// Installed returns the manhole of this process, or nil if there is none.
func Installed() *Manhole {
	installed.Lock()
	defer installed.Unlock()
	return installed.m
}

// Path returns the path of the socket. The socket exists while a window is open.
func (m *Manhole) Path() string {
	if m == nil {
		return ""
	}
	return m.instance.Load().path
}

// Uninstall closes an open window and removes its socket, ends the receiver, and
// deactivates the manhole. Running sessions may finish; Drain waits for them. A
// second call returns ErrNotInstalled. Call Uninstall before the program exits, as
// you close a listener: os.Exit runs no cleanup.
func (m *Manhole) Uninstall() error {
	installed.Lock()
	defer installed.Unlock()
	if m == nil || installed.m != m {
		return ErrNotInstalled
	}
	installed.m = nil
	m.undo()
	m.dismissals.Wait()
	m.log.Flush(guard.FlushTime)
	return nil
}

// undo ends everything of the manhole except its sessions. The caller holds the
// lock of installed. No goroutine of the manhole takes that lock.
func (m *Manhole) undo() {
	m.mu.Lock()
	m.uninstalled = true
	m.mu.Unlock()
	close(m.quit)
	m.Deactivate()
	for w := m.window(); w != nil; w = m.window() { // another one may have been requested
		w.shut(errUninstalled)
		<-w.done
	}
	signal.Stop(m.signals)
	signal.Stop(m.activates)
	m.receiver.Wait()
	m.report.Stop()
	if m.trigger != nil {
		m.trigger.Close()
	}
	if m.trap != nil {
		m.trap.Release()
	}
	signal.Stop(m.announced) // after Release
	m.notice.Remove()
}
