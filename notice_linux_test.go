package oneshot

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func notices(t *testing.T) (found []string) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	require.NoError(t, err)
	for line := range strings.Lines(string(maps)) {
		if _, text, ok := strings.Cut(line, "/memfd:oneshot:v1 "); ok {
			found = append(found, strings.TrimSuffix(text, " (deleted)\n"))
		}
	}
	return found
}

// TestTheNoticeStandsInMaps for the client to read, until Uninstall.
func TestTheNoticeStandsInMaps(t *testing.T) {
	require.Empty(t, notices(t))
	fds := func() int {
		names, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(names)
	}
	before := fds()
	dir := testwait.TempDir(t)
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: dir + "/%p"})
	require.Equal(t, []string{"signal=SIGUSR2 path=" + dir + "/%p"}, notices(t))
	require.Equal(t, before, fds())
	require.Less(t, len(fmt.Sprintf("%+v", m.Manhole)), 4096, "a manhole that is printed does no harm")

	second, err := Install(Options{ActivateOn: syscall.SIGUSR1, OneshotOn: syscall.SIGUSR2, SocketPath: "@%p", Reinstall: true})
	require.NoError(t, err)
	require.Equal(t, []string{"signal=SIGUSR2 activate=SIGUSR1 path=@%p"}, notices(t))
	require.NoError(t, second.Uninstall())
	require.ErrorIs(t, m.Uninstall(), ErrNotInstalled)
	require.Empty(t, notices(t))
}

// TestAnAbstractSocket has no file, and is used like any other.
func TestAnAbstractSocket(t *testing.T) {
	name := fmt.Sprintf("@oneshot-test-%d", os.Getpid())
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: name})
	for range 3 {
		kill(t, syscall.SIGUSR2)
		connectAbstract(t, name).leave()
	}
	require.NoError(t, m.Activate())
	eventually(t, func() bool { return strings.Contains(sockets(t), name) }, "it does not listen")
	require.NoError(t, m.Uninstall())
	require.NotContains(t, sockets(t), name)
	_, err := os.Lstat(name)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAnAbstractSocketInUse(t *testing.T) {
	name := fmt.Sprintf("@oneshot-test-%d", os.Getpid())
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	defer syscall.Close(fd)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}))
	m := install(t, Options{SocketPath: name})
	require.ErrorIs(t, m.Oneshot(inTime(t)), ErrPathInUse)
}

func sockets(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/net/unix")
	require.NoError(t, err)
	return string(text)
}
