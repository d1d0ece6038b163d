package oneshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

func init() {
	morePrograms["execs"] = func(o Options) {
		o.SocketPath += "-%p"
		o.ReinstallDelay = reinstallDelay
		replace := make(chan os.Signal, 1)
		signal.Notify(replace, syscall.SIGUSR1)
		mustInstall(o)
		fmt.Println("ready")
		<-replace
		panic(syscall.Exec("/proc/self/exe", os.Args, os.Environ()))
	}
	morePrograms["forks"] = fork
	morePrograms["keeps"] = func(o Options) { forkAndKeep(o, keepInChild) }
	morePrograms["keeps-in-orphan"] = func(o Options) { forkAndKeep(o, keepInOrphan) }
	morePrograms["drops"] = func(o Options) { // gives up its rights
		drop := make(chan os.Signal, 1)
		signal.Notify(drop, syscall.SIGUSR1)
		mustInstall(o)
		fmt.Println("ready")
		<-drop
		if err := syscall.Setuid(54321); err != nil {
			panic(err)
		}
		fmt.Println("ready")
		select {}
	}
	morePrograms["parent"] = func(o Options) {
		mustInstall(o)
		fmt.Println("ready")
		child := exec.Command("/proc/self/exe")
		child.Env = append(os.Environ(), programEnv+"=child")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		again := make(chan os.Signal, 1)
		signal.Notify(again, syscall.SIGUSR1)
		for range again {
			child := *child
			_ = child.Run() // the test checks what it prints
		}
	}
	morePrograms["child"] = func(o Options) {
		m := mustInstall(o)
		err := m.Oneshot(context.Background())
		fmt.Println("in use:", errors.Is(err, ErrPathInUse), err)
		_ = m.Uninstall()
		os.Exit(0)
	}
}

// reinstallDelay is the delay of these programs. It must be longer than the program needs
// before the delay on a busy machine, or the test could not see the delay.
const reinstallDelay = 500 * time.Millisecond

// A program that calls exec with a window open finds a dead socket with its own pid after
// that. It delays the next window.
func TestTheWindowIsDelayedAfterExec(t *testing.T) {
	p := startProgram(t, "execs")
	p.path += fmt.Sprintf("-%d", p.Process.Pid)
	for range 3 { // each round calls exec again
		p.open(t)
		first, _, err := unixsock.IDAt(p.path)
		require.NoError(t, err)

		began := time.Now()
		p.signal(t, syscall.SIGUSR1)
		p.ready(t)
		_, err = net.Dial("unix", p.path)
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "the descriptor was inherited")
		p.signal(t, syscall.SIGUSR2)
		eventually(t, func() bool {
			now, _, err := unixsock.IDAt(p.path)
			require.NoError(t, err, "nobody may remove it but to put another there")
			return now != first
		}, "the early signal was lost")
		require.GreaterOrEqual(t, time.Since(began), reinstallDelay)
		connect(t, p.path).leave()
		requireGone(t, p.path)
	}
}

func TestATerminatingSignalDuringTheDelay(t *testing.T) {
	for _, around := range []string{"", " subscribed"} {
		t.Run(around, func(t *testing.T) {
			p := startProgram(t, "execs"+around)
			p.path += fmt.Sprintf("-%d", p.Process.Pid)
			p.open(t)
			p.signal(t, syscall.SIGUSR1)
			p.ready(t)
			first, _, err := unixsock.IDAt(p.path)
			require.NoError(t, err)
			p.signal(t, syscall.SIGUSR2)
			time.Sleep(reinstallDelay / 10) // at any moment of the delay
			p.signal(t, syscall.SIGTERM)
			status := p.wait(t)
			require.True(t, status.Signaled())
			require.Equal(t, syscall.SIGTERM, status.Signal())
			now, _, err := unixsock.IDAt(p.path)
			require.NoError(t, err)
			require.Equal(t, first, now, "there is another socket")
		})
	}
}

// A dead socket that belongs to another user, or whose path does not contain the pid, does
// not cause a delay.
func TestOnlyOurOwnDeadSocketDelaysTheWindow(t *testing.T) {
	dir := testwait.TempDir(t)
	dead := func(path string) {
		t.Helper()
		ln, err := unixsock.Listen(path)
		require.NoError(t, err)
		ln.Close()
	}
	own := filepath.Join(dir, fmt.Sprintf("s-%d", os.Getpid()))
	for _, test := range []struct {
		name, pattern, path string
		delays              bool
	}{
		{"own", filepath.Join(dir, "s-%p"), own, true},
		{"without pid", filepath.Join(dir, "s"), filepath.Join(dir, "s"), false},
		{"nothing there", filepath.Join(dir, "t-%p"), "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.path != "" {
				dead(test.path)
			}
			h, err := newInstance(test.pattern, time.Hour)
			require.NoError(t, err)
			require.Equal(t, test.delays, time.Until(h.notBefore) > 0)
		})
	}
	t.Run("another user's", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root, to give a file away")
		}
		require.NoError(t, os.Lchown(own, 65534, 65534))
		h, err := newInstance(filepath.Join(dir, "s-%p"), time.Hour)
		require.NoError(t, err)
		require.True(t, h.notBefore.IsZero())
	})
}

// fork opens a window and forks without exec. The child shuts its copy of the window and
// dies of SIGTERM. Go does not support more than a few system calls in such a child,
// because it has only one of the threads. If another thread held a lock during the fork,
// the child may hang, and is killed.
func fork(o Options) {
	o.NoReceiver = true
	var log testwait.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	m := mustInstall(o)
	m.Handle(syscall.SIGUSR2)
	w := m.window()
	// The window is logged after its first, short deadline. Then it waits until its long
	// one, and nothing else happens.
	testwait.Until(func() bool {
		m.log.Flush(testwait.Patience)
		return strings.Contains(log.String(), "window open") && inPoller("(*Listener).Accept(")
	}, "the window to wait for a client")
	debug.SetGCPercent(-1)
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if errno != 0 {
		panic(errno)
	}
	if pid == 0 {
		if w.shut(errUninstalled) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGTERM) // with the trap set
		}
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	time.AfterFunc(testwait.Patience/10, func() { _ = syscall.Kill(int(pid), syscall.SIGKILL) })
	var status syscall.WaitStatus
	_, _ = syscall.Wait4(int(pid), &status, 0, nil)
	fmt.Println("ready")
	fmt.Println(status.Signal())
	select {}
}

// forkAndKeep calls keep when it gets SIGUSR1.
func forkAndKeep(o Options, keep func()) {
	runtime.LockOSThread() // PR_SET_PDEATHSIG is about the parent's thread
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGUSR1)
	mustInstall(o)
	fmt.Println("ready")
	<-again
	keep()
	fmt.Println("ready")
	select {}
}

// keepInChild forks without exec. The child only waits, with all descriptors of its parent,
// and ends with it.
func keepInChild() {
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if errno != 0 {
		panic(errno)
	}
	if pid == 0 {
		syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
		for {
			syscall.RawSyscall6(unix.SYS_PPOLL, 0, 0, 0, 0, 0, 0)
		}
	}
}

// keepInOrphan does the same with a child of the child, which has ended. The orphan ends
// when its pipe does, of which only the program has the other end.
func keepInOrphan() {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		panic(err)
	}
	var b byte
	pid, _, errno := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
	if errno != 0 {
		panic(errno)
	}
	if pid == 0 {
		orphan, _, _ := syscall.RawSyscall(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0)
		if orphan == 0 {
			syscall.RawSyscall(unix.SYS_CLOSE, uintptr(pipe[1]), 0, 0)
			syscall.RawSyscall(unix.SYS_READ, uintptr(pipe[0]), uintptr(unsafe.Pointer(&b)), 1)
		}
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(int(pid), &status, 0, nil); err != nil || status != 0 {
		panic(fmt.Sprint(status, err))
	}
}

// TestAForkedChildDoesNotKeepClients requires that a client notices the end of its session
// while a child, or an orphan of a double fork, has its connection open, and that a child with
// the listening socket of a window harms nobody.
func TestAForkedChildDoesNotKeepClients(t *testing.T) {
	for _, program := range []string{"keeps", "keeps-in-orphan"} {
		t.Run(program, func(t *testing.T) { aForkDoesNotKeepClients(t, program) })
	}
}

func aForkDoesNotKeepClients(t *testing.T, program string) {
	p := startProgram(t, program)
	p.signal(t, syscall.SIGUSR2)
	inside := connect(t, p.path)
	inside.expect(protocol.Prompt)
	p.open(t)
	p.signal(t, syscall.SIGUSR1)
	p.ready(t)
	inside.send("exit\n")
	require.Empty(t, inside.rest())
	connect(t, p.path).leave()
	requireGone(t, p.path)
	p.signal(t, syscall.SIGUSR2)
	connect(t, p.path).leave()
}

// TestRightsThatAreGivenUpInAWindow requires a log record that says why the socket stays.
func TestRightsThatAreGivenUpInAWindow(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give up its rights")
	}
	p := newProgram(t, "drops")
	var log testwait.Buffer
	p.Stderr = &log
	require.NoError(t, os.Chmod(filepath.Dir(p.path), 0o777|os.ModeSticky))
	p.started(t)
	p.open(t)
	p.signal(t, syscall.SIGUSR1)
	p.ready(t)
	connect(t, p.path).leave()
	eventually(t, func() bool { return strings.Contains(log.String(), "the socket was not removed") }, "it is not logged: %s", &log)
	require.Contains(t, log.String(), "the process has changed its user since it made the socket")
	require.NoError(t, os.Remove(p.path))
	p.signal(t, syscall.SIGUSR2)
	connect(t, p.path).leave()
	requireGone(t, p.path)
}

// inPoller reports whether a goroutine in the function waits in the runtime's
// poller.
func inPoller(function string) bool {
	b := make([]byte, 1<<16)
	for g := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(g, function) && strings.Contains(g, "[IO wait") {
			return true
		}
	}
	return false
}

func TestAForkedChildDoesNotTouchTheParentsWindow(t *testing.T) {
	const tries = 20 // if Go itself hangs in the child, the try shows nothing
	for range tries {
		p := startProgram(t, "forks")
		line := p.line(t)
		if line == fmt.Sprintln(syscall.SIGKILL) {
			continue
		}
		require.Equal(t, fmt.Sprintln(syscall.SIGTERM), line, "the child did not get to where it should have")
		connect(t, p.path).leave()
		requireGone(t, p.path)
		return
	}
	t.Fatal("every child has hung")
}

// If a forked child uses the manhole that it has inherited, it must use its own path, and
// it must wait for the delay.
func TestAForkedChildUsesItsOwnPath(t *testing.T) {
	dir := testwait.TempDir(t)
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: dir + "/s-%p", ReinstallDelay: reinstallDelay})
	own := m.Path()
	parents := *m.instance.Load()
	parents.proc.pid--
	parents.path = fmt.Sprintf("%s/s-%d", dir, parents.proc.pid)
	m.instance.Store(&parents)
	require.NotEqual(t, own, m.Path())
	ln, err := unixsock.Listen(parents.path)
	require.NoError(t, err)
	defer ln.Close()

	began := time.Now()
	kill(t, syscall.SIGUSR2)
	connect(t, own).leave()
	require.GreaterOrEqual(t, time.Since(began), reinstallDelay)
	require.Equal(t, own, m.Path())
	_, _, err = unixsock.IDAt(parents.path)
	require.NoError(t, err)
}

func TestParentAndChildWithTheSamePath(t *testing.T) {
	p := startProgram(t, "parent")
	p.open(t)
	stands, _, err := unixsock.IDAt(p.path)
	require.NoError(t, err)
	for range 3 {
		p.signal(t, syscall.SIGUSR1)
		line := p.line(t)
		require.Contains(t, line, "in use: true")
		require.Contains(t, line, p.path)
	}
	now, _, err := unixsock.IDAt(p.path)
	require.NoError(t, err)
	require.Equal(t, stands, now)
	connect(t, p.path).leave()
	requireGone(t, p.path)

	// When the path is free, the next window gets it.
	p.signal(t, syscall.SIGUSR1)
	connect(t, p.path).leave()
	require.Contains(t, p.line(t), "in use: false <nil>")
	requireGone(t, p.path)
}

// outputOf runs a child and returns its output. Any goroutine may call it.
func outputOf(ctx context.Context, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, testwait.Patience)
	defer cancel()
	return exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
}

// TestChildrenInheritNothingOfTheManhole starts children in a tight loop while windows
// are opened, entered and closed.
func TestChildrenInheritNothingOfTheManhole(t *testing.T) {
	const children, windows = 1000, 200
	looks := [...]struct {
		argv []string
		want *regexp.Regexp // must match the whole output
	}{
		{[]string{"grep", "SigBlk", "/proc/self/status"}, regexp.MustCompile(`^SigBlk:\s+0{16}\n$`)},
		// No socket and no inotify descriptor. The pipes are those to this test.
		{[]string{"ls", "-l", "/proc/self/fd"}, regexp.MustCompile(`^total 0\n(\S+ .* \d+ -> [^:\n]*(pipe:\S+)?\n)+$`)},
	}
	dir := testwait.TempDir(t)
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: filepath.Join(dir, "s"),
		TriggerFile: filepath.Join(testwait.TempDir(t), "trigger")})

	windowsDone, allDone := testwait.Gate(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer allDone()
	wg.Go(func() {
		n := 0
		for ; n < children || !closed(windowsDone); n++ {
			look := looks[n%len(looks)]
			out, err := outputOf(t.Context(), look.argv...)
			if err != nil || !look.want.Match(out) {
				t.Errorf("%v: %v\n%s", look.argv, err, out)
				return
			}
		}
		t.Logf("%d children", n)
	})
	for n := range windows {
		kill(t, syscall.SIGUSR2)
		if n%4 == 0 { // no client comes
			eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
			m.shutWindow(closedBy{syscall.SIGUSR1})
			continue
		}
		m.visitBriefly(t)
	}
	allDone()
	wg.Wait() // each child has a deadline
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = net.Dial("unix", m.Path())
	require.Error(t, err)
}
