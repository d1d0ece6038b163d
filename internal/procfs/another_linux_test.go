package procfs

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// another returns this process as if it were another one.
func another(t *testing.T) *Process {
	t.Helper()
	p, err := Another(os.Getpid())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// From outside, a descriptor looks as it does from inside.
func TestDescriptorsOfAnotherProcess(t *testing.T) {
	p := another(t)
	require.False(t, p.IsSelf())
	require.True(t, Self().IsSelf())
	require.NoError(t, Self().Close())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	defer f.Close()
	event, err := unix.Eventfd(3, 0)
	require.NoError(t, err)
	defer unix.Close(event)

	mine, err := Self().Numbers(t.Context(), 1<<16)
	require.NoError(t, err)
	theirs, err := p.Numbers(t.Context(), 1<<16)
	require.NoError(t, err)
	require.Subset(t, theirs, mine[:len(mine)-1]) // the last may be the directory itself
	seen := 0
	for _, fd := range theirs {
		d, ok := p.ReadDescriptor(fd)
		own, ownOK := Self().ReadDescriptor(fd)
		if !ok || !ownOK || d.Changed || own.Changed {
			continue
		}
		seen++
		if d.Kind == "eventpoll" || d.Kind == "inotify" { // of these only the access is known
			own.CloseOnExec, own.Flags = true, own.Flags&unix.O_ACCMODE
		}
		d.process, own.process = nil, nil
		require.Equal(t, own, d, fd)
	}
	require.Greater(t, seen, 4)
	require.NoError(t, p.Sockets())
	limit, err := p.DescriptorLimit()
	require.NoError(t, err)
	own, err := Self().DescriptorLimit()
	require.NoError(t, err)
	require.Equal(t, own, limit)
	_, ok := p.ReadDescriptor(1 << 20)
	require.False(t, ok)
}

// The copy of a descriptor is closed again.
func TestACopyIsNotKept(t *testing.T) {
	p := another(t)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	copied := -1
	require.NoError(t, p.WithCopy(int(w.Fd()), func(fd int) {
		copied = fd
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		require.NoError(t, err)
	}))
	link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(copied))
	require.True(t, err != nil || !strings.HasPrefix(link, "pipe:"), link)
	require.ErrorIs(t, p.WithCopy(1<<20, func(int) {}), unix.EBADF)
	require.NoError(t, p.Sockets(), "a closed descriptor says nothing about the rights")
}

// Where descriptors cannot be copied, sockets have no addresses, and the reason is kept.
func TestSocketsThatCannotBeCopied(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	refused := errors.New("refused")
	p := &Process{Dir: "/proc/self", files: &foreign{dir: "/proc/self", id: os.Getpid(), pidfd: -1, refused: refused, statx: statx, wait: testwait.Patience}}
	require.NoError(t, raw.Control(func(fd uintptr) {
		d, ok := p.ReadDescriptor(int(fd))
		require.True(t, ok)
		require.Equal(t, "socket", d.Kind)
		require.Regexp(t, `^socket:\[\d+\]$`, d.Target)
		require.False(t, d.Changed)
	}))
	require.ErrorIs(t, p.Sockets(), refused)
	require.NoError(t, p.Close())
}

// A file system that does not answer keeps nobody waiting.
func TestAFileSystemThatDoesNotAnswer(t *testing.T) {
	wake := make(chan struct{})
	defer close(wake)
	var asked atomic.Int32
	p := &Process{Dir: "/proc/self", files: &foreign{dir: "/proc/self", pidfd: -1, wait: 10 * time.Millisecond, statx: func(string) (unix.Statx_t, error) {
		asked.Add(1)
		<-wake
		return unix.Statx_t{}, nil
	}}}
	f, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer f.Close()
	for range maxSlow + 10 {
		d, ok := p.ReadDescriptor(int(f.Fd()))
		require.True(t, ok)
		require.Equal(t, "its file system does not answer", d.Detail)
		require.Equal(t, os.DevNull, d.Target)
	}
	require.EqualValues(t, maxSlow, asked.Load())
}

func TestAProcessThatHasEnded(t *testing.T) {
	cmd := testwait.Command(t, "true")
	require.NoError(t, cmd.Run())
	_, err := Another(cmd.Process.Pid)
	require.ErrorIs(t, err, unix.ESRCH)
}

func TestEnvironmentOfAnotherProcess(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	cmd.Env = []string{"A=b", "B=c d", "", "NOTHING"}
	require.NoError(t, cmd.Start())
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	p, err := Another(cmd.Process.Pid)
	require.NoError(t, err)
	defer p.Close()
	var entries []string
	var cut bool
	testwait.Eventually(t, func() bool { // execve sets the name first, and the place of the environment last
		entries, cut, err = p.Environ()
		require.NoError(t, err)
		return Name(cmd.Process.Pid) == "sleep" && len(entries) > 0
	}, "sleep")
	require.Equal(t, []string{"A=b", "B=c d", "NOTHING"}, entries)
	require.False(t, cut)
}

// A process can point to any of its memory as its environment.
func TestAnEnvironmentIsBounded(t *testing.T) {
	dir := t.TempDir()
	read := func(text string) ([]string, bool) {
		require.NoError(t, os.WriteFile(dir+"/environ", []byte(text), 0o600))
		entries, cut, err := readEnviron(dir)
		require.NoError(t, err)
		return entries, cut
	}
	entries, cut := read("A=b\x00C=d\x00")
	require.Equal(t, []string{"A=b", "C=d"}, entries)
	require.False(t, cut)
	entries, cut = read("A=" + strings.Repeat("x", 2*maxEnviron))
	require.Len(t, entries, 1)
	require.Len(t, entries[0], maxEnviron)
	require.True(t, cut)
	entries, cut = read(strings.Repeat("a\x00", maxEntries+1))
	require.Len(t, entries, maxEntries)
	require.True(t, cut)
}

func TestLimits(t *testing.T) {
	const table = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max processes             unlimited            unlimited            processes \n" +
		"Max open files            1024                 524288               files     \n" +
		"Max odd                   x                    y                    z\nMax empty\n"
	n, err := parseLimit(table, "Max open files")
	require.NoError(t, err)
	require.EqualValues(t, 1024, n)
	n, err = parseLimit(table, "Max processes")
	require.NoError(t, err)
	require.EqualValues(t, uint64(1<<64-1), n)
	for _, name := range []string{"Max odd", "Max empty", "Max nothing"} {
		_, err = parseLimit(table, name)
		require.Error(t, err, name)
	}
}
