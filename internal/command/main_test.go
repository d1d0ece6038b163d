package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/shellwords"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/sigthread"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// testSession is a Session without a client. It keeps the output of a command.
type testSession struct {
	mu       sync.Mutex // guards the fields below
	out      bytes.Buffer
	snapshot *stack.Snapshot
	changed  []Change
	given    Given
}

func (s *testSession) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *testSession) Process() *procfs.Process                    { return procfs.Self() }
func (s *testSession) Changed(c Change)                            { s.changed = append(s.changed, c) }
func (s *testSession) Flush() error                                { return nil }
func (s *testSession) Binary() bool                                { return false }
func (s *testSession) Base([]byte) error                           { return nil }
func (s *testSession) Remark(text string)                          { fmt.Fprintln(s, text) }
func (s *testSession) Progress(func(elapsed time.Duration) string) {}
func (s *testSession) Locals() map[string]any                      { return nil }
func (s *testSession) Given() Given                                { return s.given }
func (s *testSession) SwapSnapshot(n *stack.Snapshot) (p *stack.Snapshot) {
	p, s.snapshot = s.snapshot, n
	return p
}

// oracle answers the questions of the commands about signals.
var oracle = sync.OnceValue(sigthread.New)

func (s *testSession) Listens() (sigset.Set, error)          { return oracle().Listens() }
func (s *testSession) Disposition(sig syscall.Signal) string { return oracle().Disposition(sig) }
func (s *testSession) Hears() bool                           { return true }
func (s *testSession) IsSignalThread(dir string) bool        { return oracle().IsThread(dir) }

// client runs lines as a console does.
type client struct {
	t *testing.T
	s *testSession
}

func newClient(t *testing.T) client { return client{t, &testSession{}} }

// do runs one line and returns the output of the command, and its error.
func (c client) do(line string) string {
	c.t.Helper()
	words, err := shellwords.Split(line)
	require.NoError(c.t, err)
	for _, cmd := range All() {
		if cmd.Name != words[0] {
			continue
		}
		ctx, cancel := context.WithTimeout(c.t.Context(), testwait.Patience)
		defer cancel()
		err := cmd.Run(ctx, c.s, words[1:])
		out, _ := io.ReadAll(&c.s.out)
		if err != nil {
			out = fmt.Appendln(out, err)
		}
		return string(out)
	}
	require.FailNow(c.t, "no such command", line)
	return ""
}

// TestCommandsAreComplete checks that each command has the texts that help shows and
// a Run, and that its help explains its flags.
func TestCommandsAreComplete(t *testing.T) {
	seen := make(map[string]bool)
	for _, cmd := range Completions() {
		require.NotEmpty(t, cmd.Name)
		require.False(t, seen[cmd.Name], "%s is there twice", cmd.Name)
		seen[cmd.Name] = true
		require.NotEmpty(t, cmd.Summary, cmd.Name)
		for _, flag := range cmd.Flags {
			require.Contains(t, " "+strings.ReplaceAll(cmd.Args, "[", "[ ")+"\n"+cmd.Help, " "+flag, "%s: the help has no word about %s", cmd.Name, flag)
		}
	}
	for _, cmd := range All() {
		require.NotNil(t, cmd.Run, cmd.Name)
	}
	for _, cmd := range ForSession {
		require.Nil(t, cmd.Run, cmd.Name)
	}
}
