//go:build linux || darwin || freebsd

package oneshot

import (
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// FuzzSession has a client send anything whatever: the session answers, does no
// harm to a terminal, and ends with the client. Commands that change the process
// or take their time are left out.
func FuzzSession(f *testing.F) {
	for _, input := range []string{
		"help\n", "help stacks\r\n", "stacks -n 3 -state chan\n", "stacks -diff\nstacks -diff\n", "goroutine 1\n",
		"\x03\x03stacks\n\x03", "history\nexit\n", "print \"a", "print a b\nlocals\n", "proc self/status\nproc ../etc\n",
		"metrics /sched\n", "signals\nbuild\nsessions\n", "\n\n \nquit", "nothing like it\n", "\x00\xff\xfe\n", "\x1b[2J\u202e\n",
		strings.Repeat("x", 2000) + "\nhelp\n", strings.Repeat("\n", 100), "'", `\`,
	} {
		f.Add([]byte(input))
	}
	dir, err := os.MkdirTemp("", "oneshot")
	require.NoError(f, err)
	f.Cleanup(func() { os.RemoveAll(dir) })
	m, err := Install(Options{
		OneshotOn: syscall.SIGUSR2, NoReceiver: true, SocketPath: dir + "/s", Logger: slog.New(slog.DiscardHandler),
		Locals: map[string]any{"a": []string{"\x1b[31m"}, "b": func() any { panic("b") }},
	})
	require.NoError(f, err)
	f.Cleanup(func() { _ = m.Uninstall() })
	left := []string{
		"gc", "freeosmem", "setgc", "memlimit", "maxprocs", "blockrate", "mutexfraction", "profile", "trace", "stderr", "deactivate",
	}
	m.commands = slices.DeleteFunc(m.commands, func(cmd *Command) bool { return slices.Contains(left, cmd.Name) })

	f.Fuzz(func(t *testing.T, input []byte) {
		const most = 4 << 10 // longer ones have tests of their own
		out := sessionOf(t, m, input[:min(len(input), most)])
		require.True(t, utf8.Valid(out), "%q", out)
		for _, r := range string(out) {
			require.True(t, r == '\n' || r == '\t' || unicode.IsPrint(r), "%q in %q", r, out)
		}
		require.NotContains(t, string(out), "goroutine stack exceeds")
		require.Zero(t, m.leftBehind.Load())
	})
}

// sessionOf is a session of a client that sends input, and what it has read.
func sessionOf(t *testing.T, m *Manhole, input []byte) []byte {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	require.NoError(t, err)
	for _, fd := range pair {
		require.NoError(t, unix.SetNonblock(fd, true))
	}
	client := os.NewFile(uintptr(pair[1]), "client")
	defer client.Close()
	require.NoError(t, client.SetDeadline(time.Now().Add(testwait.Patience)))
	s := m.newSession()
	require.NoError(t, m.enter(s, Cred{PID: os.Getpid()}))
	s.begin(pair[0])
	go s.run()
	raw, err := client.SyscallConn()
	require.NoError(t, err)
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = client.Write(input) // exit may have ended the session
		_ = raw.Control(func(fd uintptr) { _ = unixsock.CloseWrite(int(fd)) })
	}()
	out, err := io.ReadAll(client)
	testwait.Receive(t, written, "the input to be sent")
	if err != nil { // unread input of ours at its end
		require.ErrorIs(t, err, syscall.ECONNRESET)
	}
	testwait.Receive(t, s.done, "the session to end")
	return out
}
