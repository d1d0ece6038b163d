//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

// fakeProgram returns a bundler that has a session with the program that answers.
func fakeProgram(t *testing.T, answers func(program *os.File, out *clientio.Output)) *bundler {
	t.Helper()
	ends, err := unixsock.Pair()
	require.NoError(t, err)
	program, ours := os.NewFile(uintptr(ends[0]), "program"), os.NewFile(uintptr(ends[1]), "client")
	testwait.Deadline(t, program)
	conn, err := net.FileConn(ours)
	require.NoError(t, errors.Join(err, ours.Close()))
	b := newBundler(target{pid: os.Getpid()}, connectOptions{timeout: testwait.Patience}, &discovery.Process{PID: os.Getpid()}, bundleOptions{})
	b.manhole.conn = conn.(*net.UnixConn)
	done := make(chan struct{})
	go func() {
		defer close(done)
		out := clientio.NewOutput(testwait.Patience, func(error) {})
		out.Connect(program, true)
		_, _ = program.Read(make([]byte, 100))
		answers(program, out)
		_ = out.Flush()
	}()
	t.Cleanup(func() {
		b.manhole.drop()
		testwait.Receive(t, done, "the end of the answer")
		program.Close()
	})
	return b
}

// collect makes the parts and returns what the manifest says of them.
func collect(ctx context.Context, t *testing.T, tasks ...bundle.Task) []bundle.Part {
	t.Helper()
	w, err := bundle.NewWriter(io.Discard, "b")
	require.NoError(t, err)
	m := new(bundle.Manifest)
	require.NoError(t, bundle.Collect(ctx, w, m, tasks, func(int, bundle.Task) {}))
	return m.Parts
}

// TestTheBeginningOfAnObjectIsNoPart: the client is interrupted in the middle of the answer.
func TestTheBeginningOfAnObjectIsNoPart(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	b := fakeProgram(t, func(program *os.File, out *clientio.Output) {
		_, _ = out.WriteString("{\n\"groups\":[\n")
		_ = out.Flush()
		interrupt()
		_, _ = program.Read(make([]byte, 1)) // the interrupt
		out.Frame(protocol.Error, "interrupted\n")
		out.Frame(protocol.End, strconv.Itoa(statusInterrupted))
	})
	asJSON, _ := b.both("stacks", "stacks")
	part := collect(ctx, t, asJSON)[0]
	require.Equal(t, "interrupted: interrupted", part.Error)
	require.False(t, part.Present)
}

// TestALongAnswerIsNotCutOff: both forms together may be larger than a part.
func TestALongAnswerIsNotCutOff(t *testing.T) {
	t.Parallel()
	b := fakeProgram(t, func(_ *os.File, out *clientio.Output) {
		_, _ = out.WriteString("{}\n")
		for range bundle.MaxPart>>20 + 1 {
			_, _ = out.Write(bytes.Repeat([]byte("x"), 1<<20))
		}
		out.Frame(protocol.End, "0")
	})
	asJSON, asText := b.both("stacks", "stacks")
	parts := collect(t.Context(), t, asJSON, asText)
	require.Empty(t, parts[0].Error)
	require.True(t, parts[0].Present)
	require.Equal(t, "it has more than 64 MiB", parts[1].Error)
	require.False(t, parts[1].Present)
}
