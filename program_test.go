//go:build linux || darwin || freebsd

package oneshot

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/trap"
)

// programEnv makes the test binary one of the programs below. Its value is a name. Words
// after it change the conditions of the program.
const programEnv = "ONESHOT_TEST_PROGRAM"

// spun is written so that the compiler does not remove the loop.
var spun atomic.Value

// handled is the exit status of a program that has handled its signal.
const handled = 3

// runProgram runs a program with a manhole. The name selects how the program treats the
// signals that end it. It prints its socket's path when it is ready.
func runProgram(spec string) {
	name, around, _ := strings.Cut(spec, " ")
	time.AfterFunc(4*testwait.Patience, func() { panic("the test that started " + spec + " has not ended it") })
	if strings.Contains(around, "subscribed") {
		trap.Disable() // as on a system without traps
	}
	if strings.Contains(around, "load") {
		for range 4 * runtime.GOMAXPROCS(0) {
			go func() {
				for n := uint(0); ; n++ {
					spun.Store(n)
				}
			}()
		}
	}
	o := Options{OneshotOn: syscall.SIGUSR2, SocketPath: os.Getenv("ONESHOT_TEST_PATH")}
	o.NoReceiver = name == "wait" || name == "handle"
	switch {
	case strings.Contains(around, "leave"):
		o.Terminate = TerminateLeave
	case strings.Contains(around, "reraise"):
		o.Terminate = TerminateReraise
	}
	ready := func() { fmt.Println("ready") }
	if run := morePrograms[name]; run != nil {
		run(o)
	}
	all := []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

	if name == "early" { // handles its signals before the manhole is installed
		c := make(chan os.Signal, 8)
		signal.Notify(c, all...)
		mustInstall(o)
		ready()
		exitGracefully(c, around)
	}
	m := mustInstall(o)
	switch name {
	case "bare": // has no handler
		ready()
		select {}
	case "churn": // opens and closes windows as fast as it can
		var opened atomic.Int64
		go func() {
			for {
				if m.Handle(syscall.SIGUSR2) {
					opened.Add(1)
					runtime.Gosched()
					m.shutWindow(closedBy{syscall.SIGUSR1})
				}
			}
		}()
		testwait.Until(func() bool { return opened.Load() > 0 }, "the first window")
		ready()
		select {}
	case "late": // handles them later, while a window is open
		c := make(chan os.Signal, 8)
		ready()
		testwait.Until(func() bool { return m.window() != nil }, "a window")
		signal.Notify(c, all...)
		ready()
		exitGracefully(c, around)
	case "context": // stops listening as soon as it has the signal
		ctx, stop := signal.NotifyContext(context.Background(), all...)
		ready()
		<-ctx.Done()
		stop()
		exitGracefully(signalled(), around)
	case "atonce": // leaves no time for anything
		c := make(chan os.Signal, 1)
		signal.Notify(c, all...)
		ready()
		<-c
		os.Exit(handled)
	case "wait":
		go func() {
			testwait.Until(func() bool { return handles(m) }, "Wait to listen to SIGTERM")
			ready()
		}()
		if _, err := m.Wait(context.Background(), all...); err != nil {
			panic(err)
		}
		exit(handled, around)
	case "handle":
		c := make(chan os.Signal, 8)
		signal.Notify(c, append(m.Signals(), all...)...)
		ready()
		for sig := range c {
			if !m.Handle(sig) {
				exit(handled, around)
			}
		}
	}
	panic("no program " + spec)
}

// morePrograms are programs in other files.
var morePrograms = map[string]func(Options){}

// signalled is a channel that has received its signal.
func signalled() chan os.Signal {
	c := make(chan os.Signal, 1)
	c <- syscall.SIGTERM
	return c
}

// mustInstall is Install for programs.
func mustInstall(o Options) *Manhole {
	m, err := Install(o)
	if err != nil {
		panic(err)
	}
	return m
}

// exitGracefully takes some time, and reports a signal that arrives twice. It also
// uninstalls the manhole, as a program should on a system without traps.
func exitGracefully(c chan os.Signal, around string) {
	<-c
	grace := 20 * time.Millisecond
	if strings.Contains(around, "reraise") {
		grace = testwait.Patience // for the second signal, which must arrive
	}
	select {
	case <-c:
		os.Exit(4)
	case <-time.After(grace):
	}
	if strings.Contains(around, "subscribed") {
		_ = Installed().Uninstall()
	}
	exit(handled, around)
}

// exit ends the program. On a system without traps the manhole waits for the goroutine
// that removes the socket, removeTime at the longest. If many goroutines and other
// programs use the CPUs, that goroutine may get none for so long.
func exit(status int, around string) {
	if strings.Contains(around, "subscribed load") {
		testwait.Until(func() bool {
			_, err := os.Lstat(Installed().Path())
			return err != nil
		}, "the end of the socket")
	}
	os.Exit(status)
}

// program is a running child.
type program struct {
	*exec.Cmd
	spec  string
	path  string
	lines *bufio.Reader
	reap  func() // calls Wait only once: two concurrent calls can hang
}

// newProgram returns a program that is not started yet. It is the test binary, or argv,
// which must execute the test binary.
func newProgram(t *testing.T, spec string, argv ...string) *program {
	t.Helper()
	if len(argv) == 0 {
		argv = os.Args[:1]
	}
	p := &program{Cmd: testwait.Command(t, argv[0], argv[1:]...), spec: spec, path: testwait.TempDir(t) + "/s"}
	p.Env = append(os.Environ(), programEnv+"="+spec, "ONESHOT_TEST_PATH="+p.path)
	p.reap = sync.OnceFunc(func() { _ = p.Cmd.Wait() }) // the status is checked below
	return p
}

func startProgram(t *testing.T, spec string) *program {
	t.Helper()
	return start(t, spec)
}

// start starts a program. Its standard error is shown if the test fails.
func start(t *testing.T, spec string, argv ...string) *program {
	t.Helper()
	p := newProgram(t, spec, argv...)
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr")) // a pipe would have the program wait for its reader
	require.NoError(t, err)
	p.Stderr = stderr
	t.Cleanup(func() {
		defer stderr.Close()
		if text, _ := os.ReadFile(stderr.Name()); t.Failed() {
			t.Logf("standard error of %q:\n%.4000s", spec, text)
		}
	})
	p.started(t)
	return p
}

// started starts the program and waits until it is ready.
func (p *program) started(t *testing.T) {
	t.Helper()
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	testwait.Deadline(t, out)
	require.NoError(t, p.Start())
	t.Cleanup(func() {
		_ = p.Process.Kill()
		p.reap()
	})
	p.lines = bufio.NewReader(out)
	p.ready(t)
}

func (p *program) ready(t *testing.T) {
	t.Helper()
	require.Equal(t, "ready\n", p.line(t))
}

// line returns the next line that the program prints.
func (p *program) line(t *testing.T) string {
	t.Helper()
	text, err := p.lines.ReadString('\n')
	require.NoError(t, err, "waited for a line from program %q, after %q", p.spec, text)
	return text
}

func (p *program) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, p.Process.Signal(sig))
}

// open opens a window and waits until its socket exists.
func (p *program) open(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(p.path); return err == nil }, "no window")
}

// wait waits for the end and returns the wait status.
func (p *program) wait(t *testing.T) syscall.WaitStatus {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		p.reap()
		close(ended)
	}()
	testwait.Receive(t, ended, "program %q to end", p.spec)
	return p.ProcessState.Sys().(syscall.WaitStatus)
}

// startIgnoring starts a program as nohup does, with SIGHUP ignored.
func startIgnoring(t *testing.T, spec string) *program {
	t.Helper()
	return start(t, spec, "sh", "-c", `trap "" HUP; exec "$0"`, os.Args[0])
}

// handles reports whether somebody besides the manhole is subscribed to SIGTERM.
func handles(m *Manhole) bool {
	answer, _ := m.oracle.Subscribers(syscall.SIGTERM)
	return answer == sigthread.Other
}

// listenTo subscribes the process to signals until the returned function is called.
func listenTo(sigs ...syscall.Signal) (stop func()) {
	c := make(chan os.Signal, 1)
	all := make([]os.Signal, len(sigs))
	for i, sig := range sigs {
		all[i] = sig
	}
	signal.Notify(c, all...)
	return func() { signal.Stop(c) }
}
