//go:build linux || darwin || freebsd

package dump

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFullPipe(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	raw, err := w.SyscallConn()
	require.NoError(t, err)
	full := func() (is bool) {
		require.NoError(t, raw.Control(func(fd uintptr) { is = FullPipe(int(fd)) }))
		return is
	}
	require.False(t, full())
	require.NoError(t, w.SetWriteDeadline(time.Now().Add(20*time.Millisecond)))
	for err == nil {
		_, err = w.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.True(t, full())
	_, err = r.Read(make([]byte, 64<<10))
	require.NoError(t, err)
	require.False(t, full())

	require.False(t, FullPipe(-1))
	fd, err := syscall.Open(os.DevNull, syscall.O_RDWR, 0)
	require.NoError(t, err)
	defer syscall.Close(fd)
	require.False(t, FullPipe(fd), "it is no pipe")
}
