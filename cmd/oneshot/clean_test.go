//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func listenOn(t *testing.T, path string) *net.UnixListener {
	t.Helper()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	require.NoError(t, err)
	ln.SetUnlinkOnClose(false)
	t.Cleanup(func() { ln.Close() })
	return ln
}

func deadSocket(t *testing.T, path string) {
	t.Helper()
	listenOn(t, path).Close()
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestCleanRemovesDeadSocketsOnly(t *testing.T) {
	dir := testwait.TempDir(t)
	ended := testwait.Command(t, "true")
	require.NoError(t, ended.Run())
	dead := []string{fmt.Sprintf("manhole-%d", ended.Process.Pid), fmt.Sprintf("manhole-%d.0a1b2c", ended.Process.Pid), "manhole-a b"}
	for _, name := range dead {
		deadSocket(t, dir+"/"+name)
	}
	deadSocket(t, dir+"/other")
	live := listenOn(t, dir+"/manhole-live")
	datagram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: dir + "/manhole-datagram"})
	require.NoError(t, err)
	defer datagram.Close()
	bound, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(bound)
	require.NoError(t, unix.Bind(bound, &unix.SockaddrUnix{Name: dir + "/manhole-not-yet"}))
	require.NoError(t, os.WriteFile(dir+"/manhole-file", nil, 0o600))
	require.NoError(t, os.Mkdir(dir+"/manhole-dir", 0o700))
	require.NoError(t, os.Symlink(dir+"/other", dir+"/manhole-link"))
	before := namesIn(t, dir)

	out, _ := call(t, "clean", "-n", dir)
	for _, name := range dead {
		require.Contains(t, out, "would remove "+dir+"/"+name+"\n")
	}
	require.Equal(t, len(dead), strings.Count(out, "\n"))
	require.Equal(t, before, namesIn(t, dir), "-n removes nothing")

	out, _ = call(t, "clean", "-v", dir)
	require.Equal(t, fmt.Sprintf(`removed %[1]s/%[2]s
removed %[1]s/%[2]s.0a1b2c
removed %[1]s/manhole-a b
left %[1]s/manhole-datagram: somebody listens
left %[1]s/manhole-dir: it is not a socket
left %[1]s/manhole-file: it is not a socket
left %[1]s/manhole-link: it is not a socket
left %[1]s/manhole-live: somebody listens
left %[1]s/manhole-not-yet: somebody listens
`, dir, dead[0]), out)
	require.Equal(t, []string{"manhole-datagram", "manhole-dir", "manhole-file", "manhole-link", "manhole-live", "manhole-not-yet", "other"}, namesIn(t, dir))

	require.NoError(t, live.SetDeadline(time.Now().Add(10*time.Millisecond)))
	_, err = live.Accept()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "clean must not connect to it")
	out, _ = call(t, "clean", dir)
	require.Empty(t, out, "a second clean removes nothing")
}

func TestCleanLeavesFilesOfOthers(t *testing.T) {
	dir := testwait.TempDir(t)
	deadSocket(t, dir+"/manhole-1x")
	var out bytes.Buffer
	c := cleaner{dir: dir, uid: os.Geteuid() + 1, verbose: true, out: &out}
	require.NoError(t, c.clean())
	require.Equal(t, fmt.Sprintf("left %s/manhole-1x: it belongs to uid %d\n", dir, os.Geteuid()), out.String())
	require.Equal(t, []string{"manhole-1x"}, namesIn(t, dir))
}

// The process listens in another directory on a socket with the same name.
func TestCleanLeavesTheNameOfAListener(t *testing.T) {
	dir, elsewhere := testwait.TempDir(t), testwait.TempDir(t)
	pid := startProgram(t, "installed", pathEnv+"="+elsewhere+"/manhole-%p")
	name := fmt.Sprintf("manhole-%d", pid)
	deadSocket(t, dir+"/"+name)
	require.NoError(t, syscall.Kill(pid, syscall.SIGUSR2))
	clienttest.PollForFile(t, elsewhere+"/"+name)
	out, _ := call(t, "clean", "-v", dir)
	require.Equal(t, fmt.Sprintf("left %s/%s: process %d listens on a socket with this name\n", dir, name, pid), out)
	out, _ = call(t, "clean", "-v", elsewhere)
	require.Equal(t, fmt.Sprintf("left %s/%s: somebody listens\n", elsewhere, name), out)

	conn, err := net.Dial("unix", elsewhere+"/"+name)
	require.NoError(t, err, "clean has left the window open")
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(testwait.Patience)))
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err)
	out, _ = call(t, "clean", dir)
	require.Equal(t, "removed "+dir+"/"+name+"\n", out)
}

// A process that is killed while a window is open leaves its socket behind.
func TestCleanAfterAKill(t *testing.T) {
	dir := testwait.TempDir(t)
	pid := startProgram(t, "installed", pathEnv+"="+dir+"/manhole-%p")
	path := fmt.Sprintf("%s/manhole-%d", dir, pid)
	require.NoError(t, syscall.Kill(pid, syscall.SIGUSR2))
	clienttest.PollForFile(t, path)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	clienttest.Poll(t, "the removal of "+path, func() (string, bool) {
		out, _ := call(t, "clean", dir)
		return fmt.Sprintf("clean printed %q", out), out == "removed "+path+"\n"
	})
	require.Empty(t, namesIn(t, dir))
}

func TestCleanDirectories(t *testing.T) {
	dir := testwait.TempDir(t)
	require.NoError(t, os.Mkdir(dir+"/real", 0o700))
	deadSocket(t, dir+"/real/manhole-x")
	require.NoError(t, os.Symlink("real", dir+"/link"))
	require.ErrorContains(t, runClean([]string{dir + "/link"}, io.Discard, io.Discard), "not followed")
	require.ErrorIs(t, runClean([]string{dir + "/none"}, io.Discard, io.Discard), os.ErrNotExist)
	require.Equal(t, []string{"manhole-x"}, namesIn(t, dir+"/real"))
	for _, args := range [][]string{{dir, dir}, {"-x"}} {
		var usage usageError
		require.ErrorAs(t, runClean(args, io.Discard, io.Discard), &usage)
	}
	out, _ := call(t, "clean", "-h")
	require.Equal(t, cleanHelp, out)
}
