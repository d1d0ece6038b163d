//go:build linux || darwin || freebsd

package oneshot

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/socketpath"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

func TestASignalOpensOneSession(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	for range 3 {
		requireGone(t, m.Path())
		kill(t, syscall.SIGUSR2)
		c := connect(t, m.Path())
		first := c.expect(protocol.Prompt)
		require.Contains(t, first, fmt.Sprintf("pid %d", os.Getpid()))
		require.Contains(t, first, runtime.Version())
		require.Contains(t, first, "TestASignalOpensOneSession", "the stacks")
		requireGone(t, m.Path())
		c.send("exit\n")
		require.Empty(t, c.rest())
	}
}

func TestTheDefaultPathHasThePid(t *testing.T) {
	path, err := socketpath.Of(DefaultSocketPath, 4321)
	require.NoError(t, err)
	require.Equal(t, "/tmp/manhole-4321", path)
}

func TestIdleManholeCostsNothing(t *testing.T) {
	for _, test := range []struct {
		name       string
		options    Options
		goroutines int
	}{
		{"receiver", Options{OneshotOn: syscall.SIGUSR2}, 1},
		{"no receiver", Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true}, 0},
		{"no signal", Options{NoReceiver: true}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			signals := make(chan os.Signal, 1) // the program uses os/signal already
			signal.Notify(signals, syscall.SIGUSR1)
			defer signal.Stop(signals)
			dir := testwait.TempDir(t)
			test.options.SocketPath = filepath.Join(dir, "s")
			goleak.VerifyNone(t, goleak.IgnoreAnyFunction("testing.(*T).Run")) // waits for what is just ending
			f, err := os.Open(os.Args[0])                                      // the first file that any program opens starts the poller
			require.NoError(t, err)
			require.NoError(t, f.Close())
			before, fds := runtime.NumGoroutine(), countFDs(t)
			m := install(t, test.options)
			m.Manhole.log.Flush(testwait.Patience) // its goroutine ends with the last record
			eventually(t, func() bool { return runtime.NumGoroutine() <= before+test.goroutines }, "there are more goroutines")
			require.Equal(t, before+test.goroutines, runtime.NumGoroutine())
			require.Equal(t, fds, countFDs(t))
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
			if test.goroutines == 0 {
				goleak.VerifyNone(t, goleak.IgnoreCurrent())
			}
			require.NoError(t, m.Uninstall())
			eventually(t, func() bool { return runtime.NumGoroutine() <= before }, "the receiver stays")
			require.Equal(t, fds, countFDs(t))
		})
	}
}

func countFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	require.NoError(t, err)
	return len(entries)
}

func TestNoGoroutineWithNoReceiverOrAfterUninstall(t *testing.T) {
	// goleak needs no option here: the tests before this one leave no goroutine.
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true})
	goleak.VerifyNone(t)
	require.NoError(t, m.Uninstall())
	goleak.VerifyNone(t)

	m = install(t, Options{OneshotOn: syscall.SIGUSR2})
	kill(t, syscall.SIGUSR2)
	connect(t, m.Path()).expect(protocol.Prompt)
	kill(t, syscall.SIGUSR2) // leaves a window open
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no second window")
	require.NoError(t, m.Uninstall())
	requireGone(t, m.Path())
}

func TestOneManholeAtATime(t *testing.T) {
	require.Nil(t, Installed())
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	require.Same(t, m.Manhole, Installed())
	_, err := Install(Options{OneshotOn: syscall.SIGUSR2})
	require.ErrorIs(t, err, ErrAlreadyInstalled)
	require.NoError(t, m.Uninstall())
	require.Nil(t, Installed())
	require.ErrorIs(t, m.Uninstall(), ErrNotInstalled)
	require.ErrorIs(t, m.Oneshot(context.Background()), ErrNotInstalled)
	require.False(t, m.Handle(syscall.SIGUSR2))
}

func TestReinstallRemovesTheEarlierManhole(t *testing.T) {
	first := install(t, Options{OneshotOn: syscall.SIGUSR2})
	kill(t, syscall.SIGUSR2)
	c := connect(t, first.Path())
	c.expect(protocol.Prompt)
	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(first.Path()); return err == nil }, "no second window")

	second := install(t, Options{OneshotOn: syscall.SIGUSR1, Reinstall: true, ReinstallDelay: -1})
	require.Same(t, second.Manhole, Installed())
	requireGone(t, first.Path())
	require.ErrorIs(t, first.Uninstall(), ErrNotInstalled)
	require.Contains(t, c.do("help"), "stacks", "the running session may finish")
	kill(t, syscall.SIGUSR1)
	connect(t, second.Path()).expect(protocol.Prompt)
}

func TestReinstallDelayKeepsAnEarlySignal(t *testing.T) {
	install(t, Options{OneshotOn: syscall.SIGUSR2})
	const delay = 300 * time.Millisecond
	began := time.Now()
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, Reinstall: true, ReinstallDelay: delay})
	kill(t, syscall.SIGUSR2)
	connect(t, m.Path()).expect(protocol.Prompt)
	require.GreaterOrEqual(t, time.Since(began), delay)
}

func TestFirstInstallHasNoDelay(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, Reinstall: true, ReinstallDelay: time.Hour})
	kill(t, syscall.SIGUSR2)
	connect(t, m.Path()).expect(protocol.Prompt)
}

func TestUninstallDuringTheDelay(t *testing.T) {
	install(t, Options{})
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, Reinstall: true, ReinstallDelay: time.Hour})
	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool { return m.window() != nil }, "the signal was lost")
	require.NoError(t, m.Uninstall())
}

type notASignal struct{}

func (notASignal) Signal()        {}
func (notASignal) String() string { return "made up" }

func TestBadOptionsInstallNothing(t *testing.T) {
	dir := testwait.TempDir(t)
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	long := filepath.Join(dir, strings.Repeat("x", 200))
	for _, test := range []struct {
		name    string
		options Options
		says    []string
	}{
		{"SIGKILL", Options{OneshotOn: syscall.SIGKILL}, []string{"SIGKILL", "cannot be caught", "SIGUSR2"}},
		{"SIGSTOP", Options{OneshotOn: syscall.SIGSTOP}, []string{"SIGSTOP", "cannot be caught"}},
		{"SIGTERM", Options{OneshotOn: syscall.SIGTERM}, []string{"SIGTERM", "nothing could end the program", "SIGUSR2"}},
		{"SIGPIPE", Options{ActivateOn: syscall.SIGPIPE}, []string{"SIGPIPE", "every write to a connection", "SIGUSR2"}},
		{"SIGCHLD", Options{OneshotOn: syscall.SIGCHLD}, []string{"SIGCHLD", "the end of every child", "SIGUSR2"}},
		{"SIGQUIT", Options{ActivateOn: syscall.SIGQUIT}, []string{"SIGQUIT", "with all stacks", "SIGUSR2"}},
		{"negative connect timeout", Options{ConnectTimeout: -1}, []string{"ConnectTimeout is -1ns", "above 0, or 0 for the default"}},
		{"negative idle timeout", Options{IdleTimeout: -time.Minute}, []string{"IdleTimeout is -1m0s", "above 0, or 0 for the default"}},
		{"percent", Options{SocketPath: "/tmp/manhole-%x"}, []string{`"/tmp/manhole-%x"`, "only %p is replaced"}},
		{"SIGSEGV", Options{OneshotOn: syscall.SIGSEGV}, []string{"SIGSEGV", "crashed"}},
		{"SIGURG", Options{OneshotOn: syscall.SIGURG}, []string{"SIGURG", "runtime"}},
		{"signal 99", Options{OneshotOn: syscall.Signal(99)}, []string{"no such signal"}},
		{"not a signal", Options{OneshotOn: notASignal{}}, []string{"notASignal", "syscall.Signal"}},
		{"no directory", Options{SocketPath: dir + "/none/s"}, []string{dir + "/none", "no such file", "set SocketPath"}},
		{"directory is a file", Options{SocketPath: file + "/s"}, []string{file, "not a directory"}},
		{"ends in a slash", Options{SocketPath: dir + "/"}, []string{"not the name of a file"}},
		{"NUL", Options{SocketPath: dir + "/a\x00b"}, []string{"not the name of a file"}},
		{"abstract", Options{SocketPath: "@"}, []string{"is what follows the @"}},
		{"too long", Options{SocketPath: long}, []string{"bytes", "temporary name"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Install(test.options)
			require.Error(t, err)
			for _, text := range test.says {
				require.ErrorContains(t, err, text)
			}
			require.Nil(t, Installed())
		})
	}
}

func TestAFailedReinstallKeepsTheEarlierManhole(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	_, err := Install(Options{OneshotOn: syscall.SIGKILL, Reinstall: true})
	require.Error(t, err)
	require.Same(t, m.Manhole, Installed())
	kill(t, syscall.SIGUSR2)
	connect(t, m.Path()).expect(protocol.Prompt)
}

func TestUnwritableDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everywhere; integration runs this as another user")
	}
	_, err := Install(Options{SocketPath: "/s"})
	require.ErrorIs(t, err, os.ErrPermission)
	require.ErrorContains(t, err, "set SocketPath")
}

func TestADirectoryWithoutStickyBit(t *testing.T) {
	dir := testwait.TempDir(t)
	for _, test := range []struct {
		mode os.FileMode
		warn bool
	}{
		{0o777, true},
		{0o777 | os.ModeSticky, false},
		{0o770, true},
		{0o770 | os.ModeSticky, false},
		{0o755, false},
		{0o700, false},
	} {
		require.NoError(t, os.Chmod(dir, test.mode))
		m := install(t, Options{SocketPath: filepath.Join(dir, "s")})
		require.NoError(t, m.Uninstall())
		m.Manhole.log.Flush(testwait.Patience)
		require.Equal(t, test.warn, strings.Contains(m.log.String(), "chmod +t "+dir), "%v: %s", test.mode, m.log)
	}
}

func TestTheLongestPathThatFits(t *testing.T) {
	dir := testwait.TempDir(t)
	longest := unixsock.MaxPath - len(protocol.TempSuffix(0))
	path := filepath.Join(dir, strings.Repeat("x", longest-len(dir)-1))
	_, err := Install(Options{SocketPath: path + "x"})
	require.ErrorContains(t, err, fmt.Sprint(longest))
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: path})
	kill(t, syscall.SIGUSR2)
	connect(t, m.Path()).expect(protocol.Prompt)
}

func TestWaitOpensTheManholeAndReturnsTheProgramsSignals(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true})
	type result struct {
		sig os.Signal
		err error
	}
	results := make(chan result, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	wait := func() {
		sig, err := m.Wait(ctx, syscall.SIGUSR1)
		results <- result{sig, err}
	}
	go wait()
	kill(t, syscall.SIGUSR2) // Wait may not have been called yet
	connect(t, m.Path()).expect(protocol.Prompt)

	kill(t, syscall.SIGUSR2)
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no second window")
	kill(t, syscall.SIGUSR1)
	require.Equal(t, result{syscall.SIGUSR1, nil}, testwait.Receive(t, results, "Wait to return"))
	requireGone(t, m.Path())

	go wait()
	cancel()
	require.Equal(t, result{nil, context.Canceled}, testwait.Receive(t, results, "Wait to return"))

	ctx = context.Background()
	go wait()
	require.NoError(t, m.Uninstall())
	require.Equal(t, result{nil, ErrNotInstalled}, testwait.Receive(t, results, "Wait to return"))
}

func TestWaitBesideAReceiver(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := m.Wait(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestHandleInTheProgramsOwnLoop(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true})
	require.Equal(t, []os.Signal{syscall.SIGUSR2}, m.Signals())
	c := make(chan os.Signal, 1)
	signal.Notify(c, append(m.Signals(), syscall.SIGUSR1)...)
	defer signal.Stop(c)

	kill(t, syscall.SIGUSR2)
	require.True(t, m.Handle(testwait.Receive(t, c, "a signal")))
	connect(t, m.Path()).expect(protocol.Prompt)
	kill(t, syscall.SIGUSR1)
	require.False(t, m.Handle(testwait.Receive(t, c, "a signal")))
	require.False(t, m.Handle(nil))

	require.True(t, m.Handle(syscall.SIGUSR2))
	eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
	require.False(t, m.Handle(syscall.SIGTERM), "TERM is the program's")
	requireGone(t, m.Path())
}

func TestOneshotReturnsTheReason(t *testing.T) {
	ctx := context.Background()
	t.Run("nobody came", func(t *testing.T) {
		m := install(t, Options{ConnectTimeout: 10 * time.Millisecond})
		require.ErrorIs(t, m.Oneshot(inTime(t)), os.ErrDeadlineExceeded)
		requireGone(t, m.Path())
	})
	t.Run("cancelled before a client", func(t *testing.T) {
		m := install(t, Options{})
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- m.Oneshot(ctx) }()
		eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
		cancel()
		require.ErrorIs(t, testwait.Receive(t, done, "Oneshot to return"), context.Canceled)
		requireGone(t, m.Path())
	})
	t.Run("cancelled in the session", func(t *testing.T) {
		m := install(t, Options{})
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- m.Oneshot(ctx) }()
		c := connect(t, m.Path())
		c.expect(protocol.Prompt)
		cancel()
		require.ErrorIs(t, testwait.Receive(t, done, "Oneshot to return"), context.Canceled)
		require.Empty(t, c.rest())
	})
	t.Run("uninstalled", func(t *testing.T) {
		m := install(t, Options{})
		done := make(chan error, 1)
		go func() { done <- m.Oneshot(ctx) }()
		eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
		require.NoError(t, m.Uninstall())
		require.ErrorContains(t, testwait.Receive(t, done, "Oneshot to return"), "uninstalled")
	})
	t.Run("two callers share the window", func(t *testing.T) {
		m := install(t, Options{})
		done := make(chan error, 2)
		go func() { done <- m.Oneshot(ctx) }()
		eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
		joined, cancel := context.WithCancel(ctx)
		cancel()
		require.ErrorIs(t, m.Oneshot(joined), context.Canceled, "the window is not its own to close")
		go func() { done <- m.Oneshot(ctx) }()
		c := connect(t, m.Path())
		c.expect(protocol.Prompt)
		c.send("exit\n")
		require.NoError(t, testwait.Receive(t, done, "Oneshot to return"))
	})
}

func TestManySignalsInEveryState(t *testing.T) {
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, Logger: slog.New(slog.DiscardHandler)})
	for range 2000 {
		kill(t, syscall.SIGUSR2)
	}
	for range 50 {
		kill(t, syscall.SIGUSR2)
		c := connect(t, m.Path())
		kill(t, syscall.SIGUSR2)
		c.expect(protocol.Prompt)
		c.Close()
		// The sessions of clients that have left may not have ended yet.
		eventually(t, func() bool { return m.sessionCount() < maxSessions }, "no place becomes free")
	}
}
