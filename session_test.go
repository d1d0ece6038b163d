//go:build linux || darwin || freebsd

package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestHalfCloseIsNotDisconnect(t *testing.T) {
	h := hostFor(t, Options{})
	for _, sent := range []string{"gc\nhelp\n", "gc\r\nhelp\r\n", "gc\nhelp"} {
		_, c := h.start(t)
		c.send(sent)
		require.NoError(t, c.CloseWrite())
		answer := c.rest()
		require.Contains(t, answer, "collected in", sent)
		require.Contains(t, answer, "list the commands", sent)
	}
}

func TestEndOfInputWithoutALine(t *testing.T) {
	_, c := hostFor(t, Options{}).start(t)
	require.NoError(t, c.CloseWrite())
	require.True(t, strings.HasSuffix(c.rest(), protocol.Prompt))
}

func TestLinesOfEveryKind(t *testing.T) {
	c := hostFor(t, Options{}).enter(t)
	require.Empty(t, c.do(""))
	require.Empty(t, c.do("   \t "))
	require.Empty(t, c.do("\r"))
	require.Contains(t, c.do("nonsense"), `no command "nonsense"; help lists them`)
	require.Contains(t, c.do("\x00\x01\xfe\xff"), `no command "\x00\x01\xfe\xff"`)
	require.Contains(t, c.do("  help   exit  "), "leave")
	require.Contains(t, c.do("mem all"), "takes no arguments")
	require.Contains(t, c.do("help help"), "explain one")
	require.Contains(t, c.do("help none"), "no command")
	require.Contains(t, c.do("help a b"), "one command at a time")

	require.Contains(t, c.do(strings.Repeat("x", clientio.MaxLine)), "no command")
	require.Contains(t, c.do(strings.Repeat("x", clientio.MaxLine+1)), "more than 65536 bytes and was not run")
	require.Contains(t, c.do(strings.Repeat("x", 1<<20)), "more than 65536 bytes and was not run")
	require.Contains(t, c.do("help"), "stacks", "the session goes on")
}

func TestGarbageOfEverySize(t *testing.T) {
	h := hostFor(t, Options{})
	random := rand.NewChaCha8([32]byte{1})
	for _, size := range []int{1, 100, 70_000, 1 << 20} {
		garbage := make([]byte, size)
		_, _ = random.Read(garbage)
		_, c := h.start(t)
		go func() {
			_, _ = c.Write(garbage)
			_ = c.CloseWrite()
		}()
		require.Contains(t, c.rest(), "goroutines")
	}
}

func TestManyLinesAtOnceAreAllAnswered(t *testing.T) {
	c := hostFor(t, Options{}).enter(t)
	const lines = 20_000
	go func() {
		_, _ = io.WriteString(c, strings.Repeat("x\n", lines))
		_ = c.CloseWrite()
	}()
	require.Equal(t, lines, strings.Count(c.rest(), "no command"))
}

func TestTheFirstScreenReachesAClientThatSendsNothing(t *testing.T) {
	s, c := hostFor(t, Options{IdleTimeout: 20 * time.Millisecond}).start(t)
	require.Contains(t, c.rest(), "nothing was typed for 20ms")
	testwait.Receive(t, s.done, "the session to end")
}

// startSession starts a session with additional commands.
func startSession(t *testing.T, extra ...*Command) (*Session, client) {
	t.Helper()
	h := hostFor(t, Options{})
	h.commands = append(h.commands, extra...)
	return h.start(t)
}

// slow is a command that runs until it is stopped.
func slow(started, stopped chan struct{}) *Command {
	return &Command{Name: "slow", Run: func(ctx context.Context, s *Session, _ []string) error {
		close(started)
		<-ctx.Done()
		close(stopped)
		return ctx.Err()
	}}
}

func TestAnInterruptStopsTheCommandAndKeepsTheSession(t *testing.T) {
	started, stopped := make(chan struct{}), make(chan struct{})
	_, c := startSession(t, slow(started, stopped))
	c.expect(protocol.Prompt)
	c.send("slow\n")
	testwait.Receive(t, started, "the command to begin")
	c.send("typed ahead\n\x03")
	require.Equal(t, "interrupted\n", c.expect(protocol.Prompt))
	testwait.Receive(t, stopped, "the command to stop")
	c.send("typed\x03")
	require.Empty(t, c.expect(protocol.Prompt), "an interrupt at the protocol.Prompt forgets the line")
	require.Contains(t, c.do("help"), "stacks")
}

func TestDisconnectStopsTheCommand(t *testing.T) {
	for _, halfFirst := range []bool{false, true} {
		t.Run(fmt.Sprintf("half-closed before %v", halfFirst), func(t *testing.T) {
			started, stopped := make(chan struct{}), make(chan struct{})
			s, c := startSession(t, slow(started, stopped))
			c.expect(protocol.Prompt)
			c.send("slow\n")
			testwait.Receive(t, started, "the command to begin")
			if halfFirst {
				require.NoError(t, c.CloseWrite())
				select {
				case <-stopped:
					t.Fatal("half-close stopped the command")
				case <-time.After(50 * time.Millisecond): // the time is the subject
				}
			}
			c.Close()
			testwait.Receive(t, stopped, "the command to stop")
			testwait.Receive(t, s.done, "the session to end")
			require.ErrorIs(t, context.Cause(s.ctx), errGone)
		})
	}
}

func TestDisconnectIsSeenAfterMuchUnreadInput(t *testing.T) {
	started, stopped := make(chan struct{}), make(chan struct{})
	_, c := startSession(t, slow(started, stopped))
	c.expect(protocol.Prompt)
	c.send("slow\n")
	testwait.Receive(t, started, "the command to begin")
	c.send(strings.Repeat("x\n", 4*clientio.MaxAheadLines)) // more than is read ahead
	c.Close()
	testwait.Receive(t, stopped, "the command to stop")
}

func TestACommandThatDoesNotStopIsLeftRunning(t *testing.T) {
	started := make(chan struct{})
	release, letGo := testwait.Gate(t)
	wrote := make(chan error, 1)
	deaf := &Command{Name: "deaf", Run: func(_ context.Context, s *Session, _ []string) error {
		close(started)
		<-release
		_, err := s.out.WriteString("late")
		wrote <- err
		return nil
	}}
	_, c := startSession(t, deaf)
	c.expect(protocol.Prompt)
	c.send("deaf\n")
	testwait.Receive(t, started, "the command to begin")
	c.send("\x03")
	require.Contains(t, c.expect(protocol.Prompt), "deaf: interrupted, but it does not stop; it was left running")
	require.Contains(t, c.do("help"), "stacks")
	letGo()
	require.ErrorIs(t, testwait.Receive(t, wrote, "the late write"), clientio.ErrCut)
	require.Contains(t, c.do("history"), "deaf")
}

func TestACommandThatFailsKeepsTheSession(t *testing.T) {
	run := func(f func() error) func(context.Context, *Session, []string) error {
		return func(context.Context, *Session, []string) error { return f() }
	}
	_, c := startSession(t,
		&Command{Name: "panics", Run: run(func() error { panic("ouch") })},
		&Command{Name: "exits", Run: run(func() error { runtime.Goexit(); return nil })},
		&Command{Name: "fails", Run: run(func() error { return errors.New("no luck") })},
	)
	c.expect(protocol.Prompt)
	out := c.do("panics")
	require.Contains(t, out, "panics panicked: ouch")
	require.Contains(t, out, "session_test.go", "the stack")
	require.Contains(t, c.do("exits"), "exits ended its goroutine (runtime.Goexit)")
	require.Equal(t, "no luck\n", c.do("fails"))
}

func TestAClientThatStopsReadingIsDropped(t *testing.T) {
	flood := &Command{Name: "flood", Run: func(ctx context.Context, s *Session, _ []string) error {
		for {
			if _, err := s.out.Write(make([]byte, 1<<16)); err != nil {
				return err
			}
		}
	}}
	s, c := startSession(t, flood)
	c.expect(protocol.Prompt)
	s.out.SetTimeout(50 * time.Millisecond)
	c.send("flood\n")
	testwait.Receive(t, s.done, "the session to end") // without a single read
	require.ErrorIs(t, context.Cause(s.ctx), os.ErrDeadlineExceeded)
}

func TestAClientThatLeavesInTheMiddleOfTheOutput(t *testing.T) {
	h := hostFor(t, Options{})
	_, c := h.start(t)
	whole := len(c.expect(protocol.Prompt))
	c.Close()
	for n := 1; n <= whole/2; n += 97 {
		s, c := h.start(t)
		_, err := io.ReadFull(c, make([]byte, n))
		require.NoError(t, err)
		c.Close()
		testwait.Receive(t, s.done, "the session to end")
	}
}

func TestHistoryIsBounded(t *testing.T) {
	s, c := startSession(t)
	c.expect(protocol.Prompt)
	for i := range maxHistory + 10 {
		s.note(fmt.Sprintf("line %d %s", i, strings.Repeat("y", 2*maxHistoryLine)))
	}
	out := c.do("history")
	require.Equal(t, maxHistory, strings.Count(out, "\n"))
	require.Less(t, len(out), maxHistory*(maxHistoryLine+20))
	require.NotContains(t, out, "line 10 ")
	require.Contains(t, out, "line 11 ")
}

// The interrupt may come after the line has arrived and before its command begins.
func TestAnInterruptRightAfterALineIsNotLost(t *testing.T) {
	stuck := &Command{Name: "stuck", Run: func(ctx context.Context, _ *Session, _ []string) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	_, c := startSession(t, stuck)
	c.expect(protocol.Prompt)
	for i := range 2000 {
		c.send("stuck\n")
		for range i % 50 * 100 { // the moment is the subject
		}
		c.send("\x03")
		out := c.expect(protocol.Prompt) // from the command, or instead of it
		require.Contains(t, []string{"", "interrupted\n"}, out)
	}
}

func TestTheHistoryIsPrintable(t *testing.T) {
	c := hostFor(t, Options{}).enter(t)
	c.do("\xff\xfe\x1b[31mboo " + strings.Repeat("\xff", 3*maxHistoryLine))
	c.do("caf\u00e9 \t x")
	out := c.do("history")
	require.True(t, utf8.ValidString(out))
	require.NotContains(t, out, "\x1b")
	require.Contains(t, out, `"\xff\xfe\x1b[31mboo`)
	require.Contains(t, out, "caf\u00e9 \t x")
}

// badly is a program's handler that ends its goroutine.
type badly struct{}

func (badly) Serve(context.Context, *Session) error {
	runtime.Goexit()
	return nil
}

func TestAHandlerThatEndsItsGoroutine(t *testing.T) {
	h := hostFor(t, Options{Handler: badly{}})
	for range maxSessions + 1 { // each session that has ended makes room for another
		s, c := h.start(t)
		c.rest()
		testwait.Receive(t, s.done, "the session to end")
	}
	h.host.log.Flush(testwait.Patience)
	require.Contains(t, h.log.String(), "ended its goroutine")
}

func TestACommandThatRunsAnotherCanBeInterrupted(t *testing.T) {
	waits := make(chan struct{})
	_, c := startSession(t, &Command{Name: "macro", Run: func(ctx context.Context, s *Session, _ []string) error {
		if err := s.Run("history"); err != nil {
			return err
		}
		close(waits)
		<-ctx.Done()
		return context.Cause(ctx)
	}})
	c.expect(protocol.Prompt)
	c.send("macro\n")
	testwait.Receive(t, waits, "the command to wait")
	c.send("\x03")
	require.Equal(t, "   1  macro\ninterrupted\n", c.expect(protocol.Prompt))
}

// After an interrupt, a command that waits for a line must not get the next one.
func TestAnInterruptedCommandReadsNoFurtherLine(t *testing.T) {
	asked, answered := make(chan struct{}), make(chan error, 1)
	_, c := startSession(t, &Command{Name: "ask", Run: func(_ context.Context, s *Session, _ []string) error {
		close(asked)
		_, err := s.ReadLine()
		answered <- err
		return err
	}})
	c.expect(protocol.Prompt)
	c.send("ask\n")
	testwait.Receive(t, asked, "the command to begin")
	c.send("\x03")
	c.expect("interrupted\n" + protocol.Prompt)
	require.ErrorIs(t, testwait.Receive(t, answered, "ReadLine to return"), errInterrupted)
	require.Contains(t, c.do("build"), "go1")
}

func TestErrorsAreEscaped(t *testing.T) {
	_, c := startSession(t,
		&Command{Name: "fails", Run: func(context.Context, *Session, []string) error { return errors.New("a\x1b]0;x\a\tb\nc\u009b") }},
		&Command{Name: "panics", Run: func(context.Context, *Session, []string) error { panic("\x1b[2J") }})
	c.expect(protocol.Prompt)
	require.Equal(t, "a\\x1b]0;x\\x07\tb\nc\\xc2\\x9b\n", c.do("fails"))
	require.Contains(t, c.do("panics"), `panicked: \x1b[2J`)
}

// Commands that do not stop are counted, for all sessions together.
func TestTheCommandsLeftRunningAreLimited(t *testing.T) {
	release, letGo := testwait.Gate(t)
	begun := make(chan struct{}, maxAbandoned)
	h := hostFor(t, Options{Commands: []Command{{Name: "stuck", Run: func(context.Context, *Session, []string) error {
		begun <- struct{}{}
		<-release
		return nil
	}}}})
	var clients []client
	for range maxSessions {
		clients = append(clients, h.enter(t))
	}
	for range maxAbandoned / maxSessions {
		for _, c := range clients {
			c.send("stuck\n")
			testwait.Receive(t, begun, "a command to begin")
		}
		for _, c := range clients {
			c.send("\x03")
		}
		for _, c := range clients {
			c.expect("left running\n")
		}
	}
	clients[0].expect(protocol.Prompt)
	require.Contains(t, clients[0].do("build"), "16 commands that did not stop are still running")
	require.Contains(t, clients[0].do("help"), "exit")
	letGo()
	eventually(t, func() bool { return h.abandoned.Load() == 0 }, "they are counted still")
	require.Contains(t, clients[0].do("build"), "go1")
}

// FuzzSession sends random input. The session must answer, must not send control
// characters, and must end with the client. Commands that change the process or take long
// are left out.
func FuzzSession(f *testing.F) {
	for _, input := range []string{
		"help\n", "help stacks\r\n", "stacks -n 3 -state chan\n", "stacks -diff\nstacks -diff\n", "goroutine 1\n",
		"\x03\x03stacks\n\x03", "history\nexit\n", "print \"a", "print a b\nlocals\n", "proc self/status\nproc ../etc\n",
		"metrics /sched\n", "signals\nbuild\nsessions\n", "\n\n \nquit", "nothing like it\n", "\x00\xff\xfe\n", "\x1b[2J\u202e\n",
		strings.Repeat("x", 2000) + "\nhelp\n", strings.Repeat("\n", 100), "'", `\`, protocol.QueryLine(0, "") + "\n", protocol.QueryLine(0, ""),
	} {
		f.Add([]byte(input))
	}
	h := hostFor(f, Options{Logger: slog.New(slog.DiscardHandler), Locals: map[string]any{"a": []string{"\x1b[31m"}, "b": func() any { panic("b") }}})
	left := []string{
		"gc", "freeosmem", "setgc", "memlimit", "maxprocs", "blockrate", "mutexfraction", "profile", "trace", "stderr", "deactivate",
	}
	h.commands = slices.DeleteFunc(h.commands, func(cmd *Command) bool { return slices.Contains(left, cmd.Name) })

	f.Fuzz(func(t *testing.T, input []byte) {
		const most = 4 << 10 // other tests have longer input
		out := sessionOf(t, h, input[:min(len(input), most)])
		require.True(t, utf8.Valid(out), "%q", out)
		for line := range strings.Lines(string(out)) {
			text, query, isAnswer := strings.Cut(line, string(rune(protocol.Query)))
			if isAnswer { // the client has asked how a line may go on, and knows the form
				_, words, ok := protocol.ParseAnswer(strings.TrimSuffix(string(rune(protocol.Query))+query, "\n"))
				require.True(t, ok && slices.Contains(input, protocol.Query), "%q", line)
				text += strings.Join(words, "")
			}
			for _, r := range text {
				require.True(t, r == '\n' || r == '\t' || unicode.IsPrint(r), "%q in %q", r, line)
			}
		}
		require.NotContains(t, string(out), "goroutine stack exceeds")
		require.Zero(t, h.abandoned.Load())
	})
}

// sessionOf runs a session whose client sends input, and returns the output.
func sessionOf(t *testing.T, h testHost, input []byte) []byte {
	s, c := h.start(t)
	defer c.Close()
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = c.Write(input) // exit may have ended the session
		_ = c.CloseWrite()
	}()
	out := c.rest()
	testwait.Receive(t, written, "the input to be sent")
	testwait.Receive(t, s.done, "the session to end")
	return []byte(out)
}
