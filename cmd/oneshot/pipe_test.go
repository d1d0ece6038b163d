//go:build linux

package main

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestPipeHalfCloses(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	defer l.Close()
	go func() {
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(testwait.Patience))
		all, _ := io.ReadAll(conn) // until pipe closes the writing side
		_, _ = conn.Write(append([]byte("got "), all...))
	}()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*testwait.Patience))) // the other end gives up first
	require.NoError(t, pipe(conn, strings.NewReader("stacks\nmem\n"), &out))
	require.Equal(t, "got stacks\nmem\n", out.String())
}

// The input may have no end.
func TestPipeEndsWithTheSession(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	defer l.Close()
	go func() {
		if conn, err := l.AcceptUnix(); err == nil {
			_, _ = io.ReadFull(conn, make([]byte, 5))
			_, _ = io.WriteString(conn, "bye\n")
			conn.Close()
		}
	}()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	defer conn.Close()
	r, w := io.Pipe()
	defer w.Close()
	go io.WriteString(w, "exit\n") //nolint:errcheck // the pipe is closed at the end
	var out strings.Builder
	piped := make(chan error, 1)
	go func() { piped <- pipe(conn, r, &out) }()
	require.NoError(t, testwait.Receive(t, piped, "the end of pipe, before that of its input"))
	require.Equal(t, "bye\n", out.String())
}
