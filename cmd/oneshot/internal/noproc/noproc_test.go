//go:build unix

package noproc

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestOnlyASocketOfTheUserOrOfRootIsConnectedTo(t *testing.T) {
	dir, euid := testwait.TempDir(t), os.Geteuid()
	path := filepath.Join(dir, "socket")
	require.ErrorIs(t, CheckPath(path, true, euid), fs.ErrNotExist)
	ln, err := net.Listen("unix", path)
	require.NoError(t, err)
	defer ln.Close()
	require.NoError(t, CheckPath(path, true, euid))
	require.NoError(t, CheckPath(path, false, euid))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(path, link))
	require.NoError(t, CheckPath(link, true, euid))

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	var foreign *ForeignError
	for _, c := range []struct {
		path  string
		named bool
		says  string
	}{
		{link, false, link + " is not a socket; nothing was sent"}, // a link that another user can have made
		{file, true, "is not a socket"},
		{dir, true, "is not a socket"},
		{"@name", true, "abstract sockets are on Linux only"},
	} {
		err := CheckPath(c.path, c.named, euid)
		require.ErrorAs(t, err, &foreign, c.path)
		require.ErrorContains(t, err, c.says)
	}
	require.ErrorContains(t, CheckPath(dir+"/"+strings.Repeat("x", 110), true, euid), "change to its folder and give ./NAME")

	other := CheckPath(path, true, euid+1)
	if euid == 0 {
		require.NoError(t, other) // it is root's
	} else {
		require.ErrorAs(t, other, &foreign)
		require.ErrorContains(t, other, fmt.Sprintf("belongs to uid %d; nothing was sent; if you trust that user, put this in front of the command: sudo -u '#%[1]d'", euid))
	}
}

func TestWhoListens(t *testing.T) {
	for _, c := range []struct {
		peer       Peer
		want, euid int
		says       string // "": it may be talked to
	}{
		{peer: Peer{PID: 41, UID: 501}, want: 41, euid: 501},
		{peer: Peer{UID: 501}, want: 41, euid: 501}, // FreeBSD does not say which process it is
		{peer: Peer{PID: 41, UID: 501}, euid: 501},
		{peer: Peer{PID: 41}, want: 41, euid: 501},
		{peer: Peer{PID: 41, UID: 502}, want: 41, euid: 501, says: "is of uid 502; nothing was sent"},
		{peer: Peer{PID: 41, UID: 502}, want: 41, says: "is of uid 502; nothing was sent"}, // root does not trust everybody
		{peer: Peer{PID: 42, UID: 501}, want: 41, euid: 501, says: "belongs to process 42, not to process 41; nothing was sent; give the path"},
		{peer: Peer{PID: 42}, want: 41, says: "belongs to process 42, not to process 41"},
	} {
		err := CheckPeer("/tmp/manhole-41", c.peer, c.want, c.euid)
		if c.says == "" {
			require.NoError(t, err, c)
		} else {
			require.ErrorContains(t, err, c.says)
		}
	}
}

func TestWhichSignalsAreSent(t *testing.T) {
	const usr2 = syscall.SIGUSR2
	mask := func(sig syscall.Signal) string { return fmt.Sprintf("%x", 1<<(sig-1)) }
	us := fmt.Sprint(os.Getpid())
	for _, c := range []struct {
		name, table string
		sig         syscall.Signal
		pid         int
		known       bool
		says        string // "": it is sent
	}{
		{name: "caught", table: us + " " + mask(usr2) + "\n 41 " + mask(usr2) + "\n", sig: usr2, pid: 41, known: true},
		{name: "not caught", table: us + " " + mask(usr2) + "\n 41 " + mask(syscall.SIGUSR1) + "\n", sig: usr2, pid: 41, known: true,
			says: "process 41 does not catch SIGUSR2, which would probably end it; nothing was sent"},
		{name: "another process is listed", table: us + " " + mask(usr2) + "\n 410 0\n", sig: usr2, pid: 41},
		{name: "wrong about ourselves", table: us + " 0\n 41 0\n", sig: usr2, pid: 41},
		{name: "no masks", table: us + " -\n 41 -\n", sig: usr2, pid: 41},
		{name: "no ps", sig: usr2, pid: 41},
		{name: "the system", table: us + " " + mask(usr2) + "\n 1 " + mask(usr2) + "\n", sig: usr2, pid: 1, says: "process 1 starts and stops the system"},
		{name: "ends programs", table: us + " ffffffff\n 41 ffffffff\n", sig: syscall.SIGTERM, pid: 41, says: "so it was not sent; if you are sure, type: kill -s TERM 41 && oneshot -n 41"},
	} {
		t.Run(c.name, func(t *testing.T) {
			known, err := CheckSignal(c.sig, c.pid, c.table)
			if c.says != "" {
				require.ErrorContains(t, err, c.says)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.known, known)
		})
	}
}

func TestProcessesAsPsHasThem(t *testing.T) {
	if _, err := os.Stat("/bin/ps"); err != nil {
		t.Skip("install procps")
	}
	cmd := testwait.Command(t, "sleep", "1000")
	require.NoError(t, cmd.Start())
	table := Table(cmd.Process.Pid)
	if _, known := caughtBy(table, syscall.SIGUSR2, cmd.Process.Pid); !known {
		t.Skipf("this ps does not say which signals a process catches: %q", table)
	}
	_, err := CheckSignal(syscall.SIGUSR2, cmd.Process.Pid, table)
	require.ErrorContains(t, err, "does not catch SIGUSR2")
	known, err := CheckSignal(syscall.SIGUSR2, os.Getpid(), table)
	require.NoError(t, err)
	require.True(t, known)
}

func TestASignalToNobody(t *testing.T) {
	require.NoError(t, Send(os.Getpid(), 0))
	cmd := testwait.Command(t, "true")
	require.NoError(t, cmd.Run())
	require.ErrorContains(t, Send(cmd.Process.Pid, 0), fmt.Sprintf("there is no process %d", cmd.Process.Pid))
}

func TestTheClientsOwnName(t *testing.T) {
	const base = "oneshot-exec.text.progress.more.cost.12345.0a1b2c3d"
	for _, tmp := range []string{testwait.TempDir(t), filepath.Join(testwait.TempDir(t), strings.Repeat("long", 10)), "/nowhere"} {
		if tmp != "/nowhere" {
			require.NoError(t, os.MkdirAll(tmp, 0o700))
		}
		t.Setenv("TMPDIR", tmp)
		name, remove, err := OwnName(base)
		require.NoError(t, err)
		require.Equal(t, base, filepath.Base(name))
		info, err := os.Stat(filepath.Dir(name))
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
		ln, err := net.Listen("unix", name) // it is not too long
		require.NoError(t, err)
		ln.(*net.UnixListener).SetUnlinkOnClose(false)
		ln.Close()
		remove()
		require.NoDirExists(t, filepath.Dir(name))
	}
}
