//go:build linux

package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestASessionThatWaitsForItsCommand(t *testing.T) {
	t.Parallel()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(testwait.TempDir(t), "s")})
	require.NoError(t, err)
	defer ln.Close()
	frame := "\x01\x00\x00\x00\x00\x00\x00\x00"
	for _, test := range []struct {
		name, sent      string
		closed, halfway bool
		waits           bool
	}{
		{name: "nothing yet"},
		{name: "the empty frame", sent: frame, waits: true},
		{name: "half of it", sent: frame[:4]},
		{name: "an end too", sent: frame + frame},
		{name: "closed", sent: frame, closed: true},
		{name: "half closed", sent: frame, halfway: true},
	} {
		ours, err := net.DialUnix("unix", nil, ln.Addr().(*net.UnixAddr))
		require.NoError(t, err)
		theirs, err := ln.AcceptUnix()
		require.NoError(t, err)
		_, err = theirs.Write([]byte(test.sent))
		require.NoError(t, err)
		if test.halfway {
			require.NoError(t, theirs.CloseWrite())
		}
		if test.closed {
			theirs.Close()
		}
		require.Equal(t, test.waits, isWaiting(ours), test.name)
		theirs.Close()
		ours.Close()
	}
}

// After a request, one session waits for the next one, and uses it. When the server ends,
// there is none.
func TestServeKeepsOneSession(t *testing.T) {
	t.Parallel()
	n := startProgram(t, "installed")
	pid := strconv.Itoa(n)
	url, cmd, _ := startServer(t, "serve", pid)
	of := func(what string, want int) {
		t.Helper()
		clienttest.Poll(t, what, func() (string, bool) {
			out, errs, _ := client(t, os.Args[0], pid, "sessions")
			return out + errs, strings.Count(out, "pid "+strconv.Itoa(cmd.Process.Pid)) == want
		})
	}
	of("no session before", 0)
	for range 3 {
		fetch(t, 200, url+"heap")
		of("one session that waits", 1)
	}
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
	of("no session after the end", 0)
}
