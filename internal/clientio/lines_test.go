//go:build linux || darwin || freebsd

package clientio

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// input returns an input without a client; a test gives it bytes with Take. No command
// runs that an interrupt could stop.
func input(interrupted bool) *Input {
	return NewInput(func() bool { return interrupted }, func() {}, func() {})
}

// lines returns the lines that have arrived, until the end of the input.
func lines(t *testing.T, in *Input) (all []Line) {
	t.Helper()
	for {
		l, err := in.Next(testwait.Patience, nil)
		if err != nil {
			require.ErrorIs(t, err, io.EOF)
			return all
		}
		all = append(all, l)
	}
}

func TestLines(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for _, test := range []struct {
		name string
		sent []string
		want []Line
	}{
		{"nothing", nil, nil},
		{"lines", []string{"a\nb\r\n\n"}, []Line{{Text: "a"}, {Text: "b"}, {}}},
		{"in pieces", []string{"a", "b\r", "\nc"}, []Line{{Text: "ab"}, {Text: "c"}}},
		{"the longest", []string{long + "\n" + long + "\r\n"}, []Line{{Text: long}, {Text: long}}},
		{"too long", []string{long + "x\nnext\n"}, []Line{{TooLong: true}, {Text: "next"}}},
		{"much too long", []string{long, long, "\nnext\n"}, []Line{{TooLong: true}, {Text: "next"}}},
		{"too long at the end", []string{long, long}, []Line{{TooLong: true}}},
		{"an interrupt", []string{"a\nb", string(rune(protocol.Interrupt)), "c\n"}, []Line{{Text: "c"}}},
		{"two interrupts", []string{"\x03a\n\x03b\n"}, []Line{{Text: "b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := input(true)
			for _, text := range test.sent {
				in.Take([]byte(text))
			}
			require.False(t, in.Ended())
			in.End()
			require.True(t, in.Ended())
			require.Equal(t, test.want, lines(t, in))
		})
	}
}

// The client must get another prompt.
func TestAnInterruptAtThePromptIsAnEmptyLine(t *testing.T) {
	in := input(false)
	in.Take([]byte("typed\x03"))
	in.End()
	require.Equal(t, []Line{{}}, lines(t, in))
}

func TestNextWaits(t *testing.T) {
	in := input(true)
	_, err := in.Next(time.Millisecond, nil)
	require.ErrorIs(t, err, ErrIdle)
	stop := make(chan struct{})
	close(stop)
	_, err = in.Next(testwait.Patience, stop)
	require.ErrorIs(t, err, os.ErrClosed)
	got := make(chan string, 1)
	go func() {
		l, err := in.Next(testwait.Patience, nil)
		if err != nil {
			l.Text = err.Error()
		}
		got <- l.Text
	}()
	in.Take([]byte("late\n"))
	require.Equal(t, "late", testwait.Receive(t, got, "the line"))
}

// TestRun reads from a client. Reading must stop when too much was typed ahead, and continue
// when there is room. It must distinguish the end of the input from the end of the
// connection, and return at the latter.
func TestRun(t *testing.T) {
	ours, client := pair(t)
	gone := make(chan struct{})
	in := NewInput(func() bool { return true }, func() {}, func() { close(gone) })
	in.Connect(ours)
	go in.Run()
	const sent = 3 * MaxAheadLines
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(client, strings.Repeat("line\n", sent))
		written <- err
	}()
	for range sent {
		l, err := in.Next(testwait.Patience, nil)
		require.NoError(t, err)
		require.Equal(t, "line", l.Text)
	}
	require.NoError(t, testwait.Receive(t, written, "the lines to be sent"))
	closeWrite(t, client)
	_, err := in.Next(testwait.Patience, nil)
	require.ErrorIs(t, err, io.EOF)
	select {
	case <-gone:
		t.Error("a client that has ended its input is still there")
	case <-time.After(20 * time.Millisecond): // the time is the subject
	}
	require.NoError(t, client.Close())
	testwait.Receive(t, gone, "the end")
}

func closeWrite(t *testing.T, client *os.File) {
	t.Helper()
	raw, err := client.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { require.NoError(t, unixsock.CloseWrite(int(fd))) }))
}
