package oneshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The errors that a caller may want to tell apart, with errors.Is.
var (
	// ErrAlreadyInstalled is what a second Install returns without Reinstall.
	ErrAlreadyInstalled = errors.New("oneshot: a manhole is installed in this process already; set Reinstall to replace it")
	// ErrNotInstalled is what a manhole returns after its Uninstall.
	ErrNotInstalled = errors.New("oneshot: the manhole is not installed (any more)")
	// ErrPathInUse says that another socket, with a process behind it, stands
	// at the manhole's path. That socket is left alone.
	ErrPathInUse = errors.New("oneshot: the socket path is in use by another socket")
	// ErrUnsupported is what Install returns on an operating system other
	// than Linux, darwin and FreeBSD.
	ErrUnsupported = errors.New("oneshot: not supported on this operating system")
)

// Defaults of Options.
const (
	DefaultSocketPath     = "/tmp/manhole-%p"
	DefaultConnectTimeout = time.Minute
	DefaultIdleTimeout    = 15 * time.Minute
	DefaultReinstallDelay = 500 * time.Millisecond
)

// Options say how a manhole is opened and who may enter. The zero value is one
// that only Oneshot opens.
type Options struct {
	// OneshotOn is the signal that opens a window for one session, SIGUSR2 as
	// a rule. Nil: no signal does.
	OneshotOn os.Signal

	// NoReceiver leaves waiting for the signal to the program, with Wait or
	// Handle, so that no goroutine of the package waits for it.
	NoReceiver bool

	// SocketPath is where the socket stands while a window is open; %p is the
	// pid. The default is DefaultSocketPath. A relative path is taken from the
	// directory in which Install is called.
	SocketPath string

	// ConnectTimeout is how long a window stays open for a client. A further
	// signal starts it again. The default is a minute.
	ConnectTimeout time.Duration

	// IdleTimeout is how long a session may be silent, with no command
	// running, before it is ended. The default is 15 minutes.
	IdleTimeout time.Duration

	// Reinstall undoes an earlier Install instead of failing with
	// ErrAlreadyInstalled (manhole's strict=False): its window is closed, its
	// socket removed; its running sessions may finish.
	Reinstall bool

	// ReinstallDelay is how long after such a reinstall no socket is created.
	// A signal that comes earlier opens the window when the delay is over. The
	// default is half a second; a negative delay is none.
	ReinstallDelay time.Duration

	// Authorize decides who may enter. It is called for every client, before
	// anything is sent, must not block, and refuses by returning an error,
	// whose text the client and the log are given. Nil: SameUserOrRoot.
	Authorize func(Cred) error

	// Logger is told of every window, refusal, session and command. The
	// package never waits for it; a logger that is stuck loses records, which
	// are counted. Nil: slog.Default(). Use slog.New(slog.DiscardHandler) for
	// silence.
	Logger *slog.Logger

	// Terminate says what happens to SIGTERM, SIGINT and SIGHUP while a window
	// is open. The zero value, TerminateAuto, is right for nearly everybody.
	Terminate TerminatePolicy
}

// Manhole is the installed thing. Its methods may be called from any goroutine.
type Manhole struct {
	opts     Options // with the defaults filled in
	path     string
	proc     identity
	greeting []byte

	ownAuthorize bool // Authorize is the program's own
	log          asyncLog
	sigThread    sigThread
	notBefore    time.Time      // no socket is created earlier (ReinstallDelay)
	quit         chan struct{}  // closed by Uninstall
	signals      chan os.Signal // the receiver's; nil: there is none
	receiver     sync.WaitGroup // the one goroutine that has the receiver's place

	dismissing atomic.Int32 // clients that were refused and are still reading why

	mu     sync.Mutex // guards what follows
	undone bool
	win    *window // the open one, or that which is being shut
	inside int     // sessions
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
	if !supported {
		return nil, ErrUnsupported
	}
	m := &Manhole{
		opts: o.withDefaults(),
		proc: thisProcess(),
		log:  asyncLog{logger: o.Logger},
		quit: make(chan struct{}),

		ownAuthorize: o.Authorize != nil,
	}
	if err := checkSignal(o.OneshotOn); err != nil {
		return nil, err
	}
	m.greeting = greeting(m.proc.pid)
	var err error
	if m.path, err = socketPath(m.opts.SocketPath, m.proc.pid); err != nil {
		return nil, err
	}

	installed.Lock()
	defer installed.Unlock()
	earlier := installed.m
	if earlier != nil && !o.Reinstall {
		return nil, ErrAlreadyInstalled
	}
	m.sigThread = findSigThread()
	// The new subscription stands before the old one goes, so that a signal
	// between the two is not lost, nor deadly if it is one that kills.
	m.signals = make(chan os.Signal, 1)
	if o.OneshotOn != nil {
		signal.Notify(m.signals, o.OneshotOn)
	}
	if earlier != nil {
		earlier.undo()
		m.notBefore = time.Now().Add(m.opts.ReinstallDelay)
	}
	if !o.NoReceiver && o.OneshotOn != nil {
		m.startReceiver()
	}
	installed.m = m
	return m, nil
}

func (m *Manhole) startReceiver() {
	m.receiver.Add(1)
	go m.receive()
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
func (m *Manhole) Path() string { return m.path }

// Signals returns what a program with NoReceiver and a signal loop of its own
// has to pass to signal.Notify for the manhole; it calls Handle with what comes.
func (m *Manhole) Signals() []os.Signal {
	if m.opts.OneshotOn == nil {
		return nil
	}
	return []os.Signal{m.opts.OneshotOn}
}

// Uninstall closes the window if one is open, removes its socket, and ends the
// receiver. Running sessions may finish. A second call returns ErrNotInstalled.
// Call it before the program exits, as one closes a listener: os.Exit leaves no
// time for anything.
func (m *Manhole) Uninstall() error {
	installed.Lock()
	defer installed.Unlock()
	if installed.m != m {
		return ErrNotInstalled
	}
	installed.m = nil
	m.undo()
	m.log.flush(flushTime)
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
	if w != nil {
		w.shut(errUninstalled)
		w.wait()
	}
	signal.Stop(m.signals)
	m.receiver.Wait()
}

// Handle is for the program's own signal loop: pass it every signal that comes,
// and go on with the next if it returns true, since the signal was the
// manhole's. It never blocks. SIGTERM, SIGINT and SIGHUP are never its own, but
// remove the socket of an open window before Handle returns, so that the
// program may exit at once.
func (m *Manhole) Handle(sig os.Signal) bool {
	if isTerminating(sig) && sig != m.opts.OneshotOn {
		m.shutWindow(closedBy{sig})
		return false
	}
	if sig == nil || sig != m.opts.OneshotOn {
		return false
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
		go w.live()
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
	own := m.signals
	if !m.opts.NoReceiver {
		own = nil
	}
	for {
		select {
		case <-own:
			m.open()
		case sig := <-c:
			if sig == m.opts.OneshotOn {
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

func (o Options) withDefaults() Options {
	if o.SocketPath == "" {
		o.SocketPath = DefaultSocketPath
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = DefaultConnectTimeout
	}
	if o.IdleTimeout <= 0 {
		o.IdleTimeout = DefaultIdleTimeout
	}
	if o.ReinstallDelay == 0 {
		o.ReinstallDelay = DefaultReinstallDelay
	}
	if o.Authorize == nil {
		o.Authorize = SameUserOrRoot
	}
	return o
}

// checkSignal refuses what os/signal cannot deliver, and what comes all the
// time by itself.
func checkSignal(sig os.Signal) error {
	if sig == nil {
		return nil
	}
	s, ok := sig.(syscall.Signal)
	if !ok {
		return fmt.Errorf("oneshot: OneshotOn is a %T; give a syscall.Signal such as syscall.SIGUSR2", sig)
	}
	if why := notForUse(s); why != "" {
		return fmt.Errorf("oneshot: OneshotOn cannot be %s: %s; use syscall.SIGUSR1 or SIGUSR2", nameOf(s), why)
	}
	return nil
}

// socketPath fills in the pid and checks that a socket can be made there.
func socketPath(pattern string, pid int) (string, error) {
	path := strings.ReplaceAll(pattern, "%p", strconv.Itoa(pid))
	if strings.HasPrefix(path, "@") {
		return "", fmt.Errorf("oneshot: SocketPath %s: abstract sockets are not supported; give the path of a file", path)
	}
	if strings.ContainsRune(path, 0) || strings.HasSuffix(path, "/") {
		return "", fmt.Errorf("oneshot: SocketPath %q is not the name of a file", path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("oneshot: SocketPath %s: %w", pattern, err)
	}
	if longest := maxSocketPath - len(tmpSuffix(0)); len(path) > longest {
		return "", fmt.Errorf("oneshot: SocketPath %s has %d bytes; at most %d fit into a socket address with the suffix of its temporary name",
			path, len(path), longest)
	}
	dir := filepath.Dir(path)
	switch info, err := os.Stat(dir); {
	case err != nil:
		return "", fmt.Errorf("oneshot: the directory of SocketPath %s: %w; create it or set SocketPath", path, err)
	case !info.IsDir():
		return "", fmt.Errorf("oneshot: SocketPath %s: %s is not a directory", path, dir)
	}
	if err := checkDirWritable(dir); err != nil {
		return "", fmt.Errorf("oneshot: no socket can be made in %s: %w; set SocketPath to a directory that uid %d may write to",
			dir, err, os.Geteuid())
	}
	return path, nil
}
