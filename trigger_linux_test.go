package oneshot

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func init() {
	morePrograms["triggered"] = func(o Options) {
		o.TriggerFile = o.SocketPath + ".trigger"
		mustInstall(o)
		fmt.Println("ready")
		select {}
	}
}

// write writes the file as echo does: truncate, write, close.
func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

func replace(t *testing.T, file, text string) {
	t.Helper()
	write(t, file+".new", text)
	require.NoError(t, os.Rename(file+".new", file))
}

// visited requires that the window opens. It connects and leaves.
func (m testManhole) visited(t *testing.T) {
	t.Helper()
	connect(t, m.Path()).leave()
	requireGone(t, m.Path())
}

func TestWritingThePidIntoTheTriggerFileOpens(t *testing.T) {
	file := filepath.Join(testwait.TempDir(t), "trigger")
	m := install(t, Options{TriggerFile: file})
	info, err := os.Stat(file)
	require.NoError(t, err, "it is made")
	require.EqualValues(t, 0o600, info.Mode().Perm())
	pid := fmt.Sprint(os.Getpid())
	for _, how := range []struct {
		name string
		do   func()
	}{
		{"echo", func() { write(t, file, pid+"\n") }},
		{"printf", func() { write(t, file, pid) }},
		{"an editor's rename", func() { replace(t, file, pid+"\n") }},
		{"echo after the rename", func() { write(t, file, pid+"\n") }},
		{"deleted and made again", func() {
			require.NoError(t, os.Remove(file))
			write(t, file, pid+"\n")
		}},
		{"deleted, and moved there", func() {
			require.NoError(t, os.Remove(file))
			replace(t, file, pid+"\n")
		}},
		{"once more", func() { write(t, file, pid+"\n") }},
	} {
		t.Run(how.name, func(t *testing.T) {
			how.do()
			m.visited(t)
		})
	}
}

// If the file is open elsewhere, the kernel does not report its deletion yet.
func TestATriggerFileThatIsOpenElsewhere(t *testing.T) {
	file := filepath.Join(testwait.TempDir(t), "trigger")
	m := install(t, Options{TriggerFile: file})
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	replace(t, file, fmt.Sprint(os.Getpid(), "\n"))
	m.visited(t)
}

func TestTheTriggerFileIgnoresOtherText(t *testing.T) {
	file := filepath.Join(testwait.TempDir(t), "trigger")
	m := install(t, Options{TriggerFile: file})
	pid := os.Getpid()
	for _, c := range []struct{ content, logged string }{
		{"1\n", "names another process"},
		{fmt.Sprintf(" %d\n", pid), "does not hold one pid"},
		{fmt.Sprintf("%d %d\n", pid, pid), "does not hold one pid"},
		{fmt.Sprintf("%d\n%d\n", pid, pid), "does not hold one pid"},
		{"\x00\xff", "does not hold one pid"},
		{fmt.Sprintf("-%d", pid), "does not hold one pid"},
		{strings.Repeat("1", 5000), "does not hold one pid"},
	} {
		before := strings.Count(m.log.String(), c.logged)
		write(t, file, c.content)
		eventually(t, func() bool {
			m.Manhole.log.Flush(testwait.Patience)
			return strings.Count(m.log.String(), c.logged) > before
		}, "%q is not logged for %q", c.logged, c.content)
		requireGone(t, m.Path())
	}
	require.NoError(t, os.Chmod(file, 0o666))
	write(t, file, fmt.Sprint(pid))
	eventually(t, func() bool {
		m.Manhole.log.Flush(testwait.Patience)
		return strings.Contains(m.log.String(), "may be written by others")
	}, "the mode is not looked at again")
	requireGone(t, m.Path())
}

func TestBadTriggerFilesAreRefused(t *testing.T) {
	dir := testwait.TempDir(t)
	write(t, dir+"/open", "")
	require.NoError(t, os.Chmod(dir+"/open", 0o622))
	require.NoError(t, os.Symlink(dir+"/open", dir+"/link"))
	require.NoError(t, os.Mkdir(dir+"/dir", 0o700))
	require.NoError(t, syscall.Mkfifo(dir+"/fifo", 0o600))
	cases := map[string]string{
		"open": "may be written by others", "link": "symbolic link", "dir": "is a directory", "fifo": "not a regular file",
		"missing/file": "no such file or directory",
	}
	if os.Getuid() == 0 {
		write(t, dir+"/foreign", "")
		require.NoError(t, os.Chown(dir+"/foreign", 12345, 12345))
		cases["foreign"] = "belongs to uid 12345"
	}
	for name, message := range cases {
		_, err := Install(Options{TriggerFile: dir + "/" + name})
		require.ErrorContains(t, err, message, name)
		require.Nil(t, Installed())
	}
}

// It costs no goroutine.
func TestATriggerFileCostsADescriptor(t *testing.T) {
	ignored := goleak.IgnoreCurrent()
	count := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	before := count()
	m := install(t, Options{TriggerFile: filepath.Join(testwait.TempDir(t), "trigger"), NoReceiver: true})
	goleak.VerifyNone(t, ignored)
	require.Equal(t, before+1, count())
	require.NoError(t, m.Uninstall())
	require.Equal(t, before, count())
}

func TestTheTriggerFileThroughWaitAndHandle(t *testing.T) {
	file := filepath.Join(testwait.TempDir(t), "trigger")
	m := install(t, Options{TriggerFile: file, NoReceiver: true})
	require.Equal(t, []os.Signal{syscall.SIGIO}, m.Signals())
	ctx, cancel := context.WithCancel(context.Background())
	waited := make(chan error, 1)
	go func() { _, err := m.Wait(ctx); waited <- err }()
	write(t, file, fmt.Sprint(os.Getpid()))
	m.visited(t)
	cancel()
	require.ErrorIs(t, testwait.Receive(t, waited, "Wait to return"), context.Canceled)

	c := make(chan os.Signal, 1)
	signal.Notify(c, m.Signals()...)
	defer signal.Stop(c)
	write(t, file, fmt.Sprint(os.Getpid()))
	require.True(t, m.Handle(testwait.Receive(t, c, "a signal")))
	m.visited(t)
	for drained := false; !drained; {
		select {
		case sig := <-c:
			m.Handle(sig)
		default:
			drained = true
		}
	}
	eventually(t, func() bool {
		kill(t, syscall.SIGIO) // meant for somebody else
		return !m.Handle(testwait.Receive(t, c, "a signal"))
	}, "every SIGIO is taken for the trigger file's")
}

// While nothing is written to the file, no thread of the program may run.
func TestATriggerFileCostsNoCPU(t *testing.T) {
	p := startProgram(t, "triggered")
	const quiet = 3 * time.Second
	switches := func() (n int) {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.Process.Pid))
		require.NoError(t, err)
		for _, path := range threads {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			for _, m := range regexp.MustCompile(`ctxt_switches:\s+(\d+)`).FindAllStringSubmatch(string(text), -1) {
				times, err := strconv.Atoi(m[1])
				require.NoError(t, err)
				n += times
			}
		}
		return n
	}
	// The runtime runs something now and then, for example a collection every two minutes.
	// So one period without CPU time is enough. The time is the subject.
	last, since := switches(), time.Now()
	require.Positive(t, last)
	eventually(t, func() bool {
		rested := time.Since(since) // before the last look
		if now := switches(); now != last {
			last, since = now, time.Now()
			return false
		}
		return rested >= quiet
	}, "it never rests for %v", quiet)
}
