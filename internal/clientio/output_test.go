//go:build linux || darwin || freebsd

package clientio

import (
	"bytes"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// pair returns both ends of a connection: that of the session, and the client's.
func pair(t *testing.T) (ours, client *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	files := make([]*os.File, 2)
	for i, fd := range fds {
		syscall.CloseOnExec(fd)
		require.NoError(t, syscall.SetNonblock(fd, true))
		files[i] = os.NewFile(uintptr(fd), "socket")
		t.Cleanup(func() { files[i].Close() })
	}
	testwait.Deadline(t, files[1])
	return files[0], files[1]
}

// output returns the output of a session and the client's end. A write error fails the
// test.
func output(t *testing.T, script bool) (*Output, *os.File) {
	t.Helper()
	ours, client := pair(t)
	o := NewOutput(testwait.Patience, func(err error) { t.Error("a write failed: ", err) })
	o.Connect(ours, script)
	return o, client
}

// received returns the next n bytes.
func received(t *testing.T, client io.Reader, n int) string {
	t.Helper()
	got := make([]byte, n)
	_, err := io.ReadFull(client, got)
	require.NoError(t, err)
	return string(got)
}

// nothingMore fails the test if the client has something to read.
func nothingMore(t *testing.T, client *os.File) {
	t.Helper()
	require.NoError(t, client.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	testwait.Deadline(t, client)
}

func TestOutputIsSentByFlushAndWhenTheBufferIsFull(t *testing.T) {
	o, client := output(t, false)
	_, err := o.WriteString("hello")
	require.NoError(t, err)
	nothingMore(t, client)
	require.NoError(t, o.Flush())
	require.Equal(t, "hello", received(t, client, 5))

	n, err := o.Write(bytes.Repeat([]byte("x"), wireBuffer+10))
	require.NoError(t, err)
	require.Equal(t, wireBuffer+10, n)
	require.Equal(t, strings.Repeat("x", wireBuffer), received(t, client, wireBuffer))
	nothingMore(t, client)
	require.NoError(t, o.Flush())
	require.Equal(t, strings.Repeat("x", 10), received(t, client, 10))
}

// The other views go on.
func TestAViewWritesNothingAfterCutOff(t *testing.T) {
	o, client := output(t, false)
	command := o.View()
	_, err := command.WriteString("before ")
	require.NoError(t, err)
	command.CutOff()
	_, err = command.WriteString("late")
	require.ErrorIs(t, err, ErrCut)
	require.ErrorIs(t, command.Flush(), ErrCut)
	command.Frame(protocol.Error, "late")
	_, err = o.WriteString("after")
	require.NoError(t, err)
	require.NoError(t, o.Flush())
	require.Equal(t, "before after", received(t, client, 12))
	nothingMore(t, client)
}

func TestProgressIsOneLineThatIsReplaced(t *testing.T) {
	o, client := output(t, false)
	writes := o.Progress(0, "no") // nothing is known of the cursor
	o.Typed()
	writes = o.Progress(writes, "9 of 10, longer")
	writes = o.Progress(writes, "10 of 10")
	require.Equal(t, "\r9 of 10, longer\r10 of 10       ", received(t, client, 32))
	_, _ = o.WriteString("half a line")
	require.NotEqual(t, writes, o.Progress(writes, "no"), "there was a write")
	require.Equal(t, o.Writes(), o.Progress(o.Writes(), "no"), "in the middle of a line")
	_, _ = o.WriteString(".\n")
	o.Progress(o.Writes(), "again")
	require.NoError(t, o.Flush())
	require.Equal(t, "\nhalf a line.\n\ragain", received(t, client, 20))
	nothingMore(t, client)
}

func TestAScriptsOutputIsFramed(t *testing.T) {
	o, client := output(t, true)
	long := strings.Repeat("z", protocol.MaxPayload-3)
	flushed := make(chan error, 1)
	go func() {
		o.Frame(protocol.Output, "")
		_, _ = o.WriteString("an answer")
		o.Frame(protocol.Error, "a remark")
		_, _ = o.Write(bytes.Repeat([]byte("y"), 2*framedBuffer))
		o.Frame(protocol.Base, long)
		_, _ = o.WriteString("and more")
		o.Frame(protocol.End, "0")
		flushed <- o.Flush()
	}()
	frames := protocol.NewReader(client)
	kind, payload, err := frames.Next()
	require.NoError(t, err)
	require.Equal(t, byte(protocol.Output), kind)
	require.Empty(t, payload)
	var kinds []byte
	var texts []string // consecutive frames of one kind are joined
	for kind != protocol.End {
		kind, payload, err = frames.Next()
		require.NoError(t, err)
		if n := len(kinds); n == 0 || kinds[n-1] != kind {
			kinds, texts = append(kinds, kind), append(texts, "")
		}
		texts[len(texts)-1] += string(payload)
	}
	require.Equal(t, []string{"an answer", "a remark", strings.Repeat("y", 2*framedBuffer), long, "and more", "0"}, texts)
	require.Equal(t, []byte{protocol.Output, protocol.Error, protocol.Output, protocol.Base, protocol.Output, protocol.End}, kinds)
	require.NoError(t, testwait.Receive(t, flushed, "the answer is sent"))
	require.LessOrEqual(t, cap(o.wire.buf), 2*framedBuffer, "the room for the long frame is kept")
}

// TestAnAnswerIsOneWrite: each write wakes the client, which costs more than a short answer.
func TestAnAnswerIsOneWrite(t *testing.T) {
	o, client := output(t, true)
	_, _ = o.WriteString("an answer")
	o.Frame(protocol.Error, "a remark")
	o.Frame(protocol.End, "0")
	nothingMore(t, client)
	require.NoError(t, o.Flush())
	const all = 3*protocol.HeaderSize + len("an answera remark0")
	buf := make([]byte, 2*all)
	n, err := client.Read(buf)
	require.NoError(t, err)
	require.Equal(t, all, n)
	nothingMore(t, client)
}

// The error is reported once. Later writes fail at once.
func TestAClientThatDoesNotRead(t *testing.T) {
	ours, _ := pair(t)
	var failed atomic.Int32
	o := NewOutput(testwait.Patience, func(err error) {
		failed.Add(1)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	o.Connect(ours, false)
	o.SetTimeout(10 * time.Millisecond)
	var err error
	for err == nil {
		_, err = o.Write(make([]byte, 1<<16))
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	n, err := o.WriteString("more")
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Zero(t, n)
	require.ErrorIs(t, o.Flush(), os.ErrDeadlineExceeded)
	o.Frame(protocol.Error, "more")
	require.EqualValues(t, 1, failed.Load())
}

func TestAClientThatHasDisconnected(t *testing.T) {
	ours, client := pair(t)
	failed := make(chan error, 2)
	o := NewOutput(testwait.Patience, func(err error) { failed <- err })
	o.Connect(ours, false)
	require.NoError(t, client.Close())
	_, err := o.WriteString("hello")
	require.NoError(t, err, "it is in the buffer")
	require.ErrorIs(t, o.Flush(), syscall.EPIPE)
	require.ErrorIs(t, testwait.Receive(t, failed, "the failure"), syscall.EPIPE)
}
