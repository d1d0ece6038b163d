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

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

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
			_ = child.Run() // what it prints tells
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

// reinstallDelay is that of the programs here: longer than what goes on before
// takes on a busy machine, or nothing would be seen of it.
const reinstallDelay = 500 * time.Millisecond

// An image that is executed in place of the one that had a window open finds a
// dead socket of its own pid, and waits with the next.
func TestAnImageExecutedInPlaceWaitsWithItsWindow(t *testing.T) {
	p := startProgram(t, "execs")
	p.path += fmt.Sprintf("-%d", p.Process.Pid)
	for range 3 { // each time another image
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

func TestTerminatedDuringTheDelay(t *testing.T) {
	for _, around := range []string{"", " posts"} {
		t.Run(around, func(t *testing.T) {
			p := startProgram(t, "execs"+around)
			p.path += fmt.Sprintf("-%d", p.Process.Pid)
			p.open(t)
			p.signal(t, syscall.SIGUSR1)
			p.ready(t)
			first, _, err := unixsock.IDAt(p.path)
			require.NoError(t, err)
			p.signal(t, syscall.SIGUSR2)
			time.Sleep(reinstallDelay / 10) // any moment of the delay will do
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

// A dead socket of somebody else, or at a path that is not of this pid alone,
// tells nothing about this process.
func TestOnlyTheOwnDeadSocketDelays(t *testing.T) {
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
			h, err := newHome(test.pattern, time.Hour)
			require.NoError(t, err)
			require.Equal(t, test.delays, time.Until(h.notBefore) > 0)
		})
	}
	t.Run("another user's", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("needs root, to give a file away")
		}
		require.NoError(t, os.Lchown(own, 65534, 65534))
		h, err := newHome(filepath.Join(dir, "s-%p"), time.Hour)
		require.NoError(t, err)
		require.True(t, h.notBefore.IsZero())
	})
}

// fork opens a window and forks without exec. The child shuts its copy of the
// window and dies of SIGTERM; more than a few system calls Go does not support
// there, since of all threads it has one. Where even these hang, since another
// thread was in the middle of something, it is killed.
func fork(o Options) {
	o.NoReceiver = true
	var log testwait.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	m := mustInstall(o)
	m.Handle(syscall.SIGUSR2)
	w := m.window()
	// The window is logged when its first, protocol.Prompt deadline has passed. Then it
	// waits until its long one, and nothing else goes on.
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

func TestAForkedChildLeavesTheWindowAlone(t *testing.T) {
	const tries = 20 // a child that Go itself hangs in has shown nothing
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

// What is asked of a manhole that a forked child has inherited is done at a path
// of the child's own, and not at once.
func TestAnInheritedManholeMovesIn(t *testing.T) {
	dir := testwait.TempDir(t)
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: dir + "/s-%p", ReinstallDelay: reinstallDelay})
	own := m.Path()
	parents := *m.home.Load()
	parents.proc.pid--
	parents.path = fmt.Sprintf("%s/s-%d", dir, parents.proc.pid)
	m.home.Store(&parents)
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

func TestParentAndChildWithOnePath(t *testing.T) {
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

	// Whoever comes when the path is free has it.
	p.signal(t, syscall.SIGUSR1)
	connect(t, p.path).leave()
	require.Contains(t, p.line(t), "in use: false <nil>")
	requireGone(t, p.path)
}

// outputOf runs a child, which has its time. Any goroutine may call it.
func outputOf(ctx context.Context, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, testwait.Patience)
	defer cancel()
	return exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
}

// TestChildrenHaveNothingOfTheManhole: those that the program starts in a tight
// loop while windows are opened, entered and closed.
func TestChildrenHaveNothingOfTheManhole(t *testing.T) {
	const children, windows = 1000, 200
	looks := [...]struct {
		argv []string
		want *regexp.Regexp // of the whole output
	}{
		{[]string{"grep", "SigBlk", "/proc/self/status"}, regexp.MustCompile(`^SigBlk:\s+0{16}\n$`)},
		// Neither a socket nor inotify's; the pipes are those to this test.
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
		if n%4 == 0 { // nobody comes
			eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
			m.shutWindow(closedBy{syscall.SIGUSR1})
			continue
		}
		m.visitBriefly(t)
	}
	allDone()
	wg.Wait() // each child has its time
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = net.Dial("unix", m.Path())
	require.Error(t, err)
}
