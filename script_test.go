//go:build linux || darwin || freebsd

package oneshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// dialScript starts a session as a script does, by the name of its socket.
func (h testHost) dialScript(t *testing.T) client {
	t.Helper()
	_, c := h.startAs(t, filepath.Join(testwait.TempDir(t), protocol.SocketPrefix+"1"))
	return c
}

// answer reads the frames of an answer.
func answer(t *testing.T, r io.Reader) (output, errors, status string) {
	t.Helper()
	frames := protocol.NewReader(r)
	for {
		kind, payload, err := frames.Next()
		require.NoError(t, err)
		switch kind {
		case protocol.Output:
			output += string(payload)
		case protocol.Error:
			errors += string(payload)
		case protocol.End:
			n, err := r.Read(make([]byte, 1))
			require.Zero(t, n)
			require.ErrorIs(t, err, io.EOF)
			return output, errors, string(payload)
		}
	}
}

func (h testHost) script(t *testing.T, line string) (output, errors, status string) {
	t.Helper()
	conn := h.dialScript(t)
	_, err := io.WriteString(conn, line)
	require.NoError(t, err)
	require.NoError(t, conn.CloseWrite())
	return answer(t, conn)
}

func TestAScriptGetsItsAnswerInFrames(t *testing.T) {
	var every []byte
	for range 1000 {
		for b := range 256 {
			every = append(every, byte(b))
		}
	}
	h := hostFor(t, Options{Commands: []Command{
		{Name: "bytes", Run: func(_ context.Context, s *Session, _ []string) error {
			if !s.Binary() {
				return errors.New("the answer is for a terminal")
			}
			_, err := s.Write(every)
			return err
		}},
		{Name: "fails", Run: func(_ context.Context, s *Session, args []string) error {
			fmt.Fprint(s, "so far")
			return errors.New("it failed with " + fmt.Sprint(args))
		}},
		{Name: "panics", Run: func(context.Context, *Session, []string) error { panic("oops") }},
	}})
	for _, test := range []struct {
		line           string
		output, errors string // the beginning of each
		status         string
	}{
		{"bytes\n", string(every), "", "0"},
		{"fails 'a b' c\n", "so far", "it failed with [a b c]\n", "1"},
		{"panics\n", "", "panics panicked: oops", "1"},
		{"nosuch\n", "", `no command "nosuch"; help lists them`, "2"},
		{"\n", "", `no command ""`, "2"},
		{"", "", `no command ""`, "2"},
		{"exit\n", "", "", "0"},
		{"build", "go\tgo", "", "0"},
		{"stacks -n 'x'\n", "", "stacks: invalid value", "1"},
		{"stderr on\n", "", "stderr: a script's output is that of its command", "1"},
	} {
		t.Run(test.line, func(t *testing.T) {
			output, errors, status := h.script(t, test.line)
			require.Equal(t, test.status, status)
			require.True(t, bytes.HasPrefix([]byte(output), []byte(test.output)), "%.100q", output)
			require.Contains(t, errors, test.errors)
			if test.errors == "" {
				require.Empty(t, errors)
			}
			require.NotContains(t, output, protocol.Prompt)
		})
	}
	eventually(t, func() bool { return strings.Contains(h.log.String(), `"fails 'a b' c"`) }, "it is not logged")
}

func TestAScriptCanInterrupt(t *testing.T) {
	started, stopped := make(chan struct{}), make(chan struct{})
	h := hostFor(t, Options{Commands: []Command{*slow(started, stopped)}})
	conn := h.dialScript(t)
	_, err := io.WriteString(conn, "slow\n")
	require.NoError(t, err)
	testwait.Receive(t, started, "the command to begin")
	_, err = conn.Write([]byte{protocol.Interrupt})
	require.NoError(t, err)
	testwait.Receive(t, stopped, "the command to stop")
	_, _, status := answer(t, conn)
	require.Equal(t, "130", status)
}

// Both the line and the interrupt may be read before the goroutine that runs the line
// gets a CPU.
func TestAnInterruptBeforeTheSessionLooksForALine(t *testing.T) {
	h := hostFor(t, Options{})
	for _, text := range []string{"profile cpu\n\x03", "\x03", "\x03profile cpu\n\x03"} {
		s := newSession(h.host)
		s.script = true
		s.in.Take([]byte(text))
		_, _, _, err := s.nextCommand()
		require.ErrorIs(t, err, errInterrupted, "%q", text)
	}
}

func TestAScriptCanInterruptBeforeItsLineIsRun(t *testing.T) {
	for _, text := range []string{"profile cpu\n\x03", "\x03", "\x03profile cpu\n\x03"} {
		h := hostFor(t, Options{})
		conn := h.dialScript(t)
		_, err := io.WriteString(conn, text)
		require.NoError(t, err)
		output, errors, status := answer(t, conn)
		require.Equal(t, "interrupted\n130", output+errors+status, "%q", text)
	}
}

func TestExecHasNoPrompt(t *testing.T) {
	h := hostFor(t, Options{Handler: Exec{}, Commands: []Command{
		{Name: "echo", Run: func(_ context.Context, s *Session, args []string) error {
			_, err := fmt.Fprintln(s, args)
			return err
		}},
		{Name: "fails", Run: func(context.Context, *Session, []string) error { return errors.New("two\nlines") }},
	}})
	s, c := h.start(t)
	c.send("echo 1 '2 3'\nfails\nnosuch\n\necho 4\n")
	c.expect("[1 2 3]\ntwo; lines\nno command \"nosuch\"; help lists them\n[4]\n")
	c.send("exit\n")
	require.Empty(t, c.rest())
	testwait.Receive(t, s.done, "the session to end")

	output, _, status := h.script(t, "echo x")
	require.Equal(t, "[x]\n0", output+status)
}

// echoes is a program's own handler.
type echoes struct{ ended chan error }

func (h echoes) Serve(ctx context.Context, s *Session) error {
	fmt.Fprintf(s, "uid %d\n", s.Cred().UID)
	for {
		line, err := s.ReadLine()
		if err != nil {
			select { // the handler must see the end of the input first
			case <-ctx.Done():
			case <-time.After(testwait.Patience):
			}
			h.ended <- ctx.Err()
			return nil
		}
		if line == "panic" {
			panic("oops")
		}
		fmt.Fprintf(s, "you said %q\n", line)
	}
}

func TestAProgramsOwnHandler(t *testing.T) {
	own := echoes{make(chan error, 1)}
	h := hostFor(t, Options{Handler: own})
	s, c := h.start(t)
	c.expect("uid ")
	c.send("help\n")
	c.expect("you said \"help\"\n")
	c.Close()
	require.Error(t, testwait.Receive(t, own.ended, "the handler to see the end"))
	testwait.Receive(t, s.done, "the session to end")

	s, c = h.start(t)
	c.send("panic\n")
	c.expect("\n")
	c.rest()
	testwait.Receive(t, s.done, "the session to end")
	h.ended(t)
	eventually(t, func() bool { return strings.Contains(h.log.String(), "panicked: oops") }, "it is not logged")

	_, errors, status := h.script(t, "help")
	require.Contains(t, errors, "serves its clients itself")
	require.Equal(t, "1", status)
}

// stubborn does not return when it should.
type stubborn struct{ entered, until chan struct{} }

func (h stubborn) Serve(context.Context, *Session) error {
	h.entered <- struct{}{}
	<-h.until
	return nil
}

func TestAHandlerThatDoesNotReturnIsLeftRunning(t *testing.T) {
	until, letGo := testwait.Gate(t)
	own := stubborn{make(chan struct{}, maxAbandoned+1), until}
	h := hostFor(t, Options{Handler: own})
	for range maxAbandoned / maxSessions {
		for range maxSessions {
			_, c := h.start(t)
			testwait.Receive(t, own.entered, "the handler to be called")
			c.Close()
		}
		h.ended(t)
	}
	h.host.log.Flush(testwait.Patience)
	h.ended(t)
	require.Contains(t, h.log.String(), "a command does not stop and was left running")

	s, c := h.start(t)
	c.rest()
	testwait.Receive(t, s.done, "the session to end")
	eventually(t, func() bool { return strings.Contains(h.log.String(), "no other can begin") }, "one more is begun")

	letGo()
	eventually(t, func() bool { return h.abandoned.Load() == 0 }, "they are not counted down")
	s, c = h.start(t)
	c.Close()
	testwait.Receive(t, s.done, "the session to end")
}

func TestCommandsOfTheProgram(t *testing.T) {
	run := func(context.Context, *Session, []string) error { return nil }
	for _, test := range []struct {
		commands []Command
		says     string
	}{
		{[]Command{{Name: "help", Run: run}}, `a command "help" already`},
		{[]Command{{Name: "x", Run: run}, {Name: "x", Run: run}}, `a command "x" already`},
		{[]Command{{Name: "two words", Run: run}}, `"two words" cannot be typed as one word`},
		{[]Command{{Name: "x"}}, `"x" has no Run`},
	} {
		_, err := Install(Options{Commands: test.commands, SocketPath: testwait.TempDir(t) + "/s"})
		require.ErrorContains(t, err, test.says)
		require.Nil(t, Installed())
	}

	h := hostFor(t, Options{Commands: []Command{
		{Name: "flush", Args: "[NAME...]", Summary: "empty caches", Help: "All of them, or those named.",
			Run: func(_ context.Context, s *Session, args []string) error {
				_, err := fmt.Fprintf(s, "flushed %q\n", args)
				return err
			}},
		{Fallback: true, Args: "WORDS", Summary: "say it again", Run: func(_ context.Context, s *Session, args []string) error {
			_, err := fmt.Fprintf(s, "again: %q\n", args)
			return err
		}},
	}})
	c := h.enter(t)
	require.Contains(t, c.do("help"), "  flush [NAME...]          empty caches\n  WORDS ")
	require.Equal(t, "flush [NAME...]\nempty caches\nAll of them, or those named.\n", c.do("help flush"))
	require.Equal(t, "flushed [\"a b\" \"c\"]\n", c.do(`flush "a b" c`))
	require.Equal(t, "flush: the ' has no other end; write it within double quotes if it is meant literally\n", c.do(`flush 'a`))
	require.Equal(t, "again: [\"don't  panic\"]\n", c.do(`don't  panic`))
}

func TestPeopleSeeTheProgress(t *testing.T) {
	begun := make(chan struct{}, 3)
	wait := Command{Name: "wait", Run: func(ctx context.Context, s *Session, args []string) error {
		begun <- struct{}{}
		if len(args) > 0 {
			s.setProgress(func(elapsed time.Duration) string { return fmt.Sprintf("%v of 30 s", elapsed.Seconds()) })
		}
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	h := hostFor(t, Options{Commands: []Command{wait}})
	c := h.enter(t)
	c.send("wait\n")
	c.expect("\rwait: running for 1s")
	testwait.Receive(t, begun, "the command to begin")
	c.send(string(rune(protocol.Interrupt)))
	require.Equal(t, "\ninterrupted\n", c.expect(protocol.Prompt))

	script := h.dialScript(t) // its command runs longer than the next one
	_, err := io.WriteString(script, "wait\n")
	require.NoError(t, err)
	testwait.Receive(t, begun, "the script's command to begin")

	c.send("wait x\n")
	c.expect("\r1 of 30 s\r2 of 30 s")
	c.send(string(rune(protocol.Interrupt)))
	c.expect("interrupted\n" + protocol.Prompt)

	_, err = script.Write([]byte{protocol.Interrupt})
	require.NoError(t, err)
	output, errors, _ := answer(t, script)
	require.Equal(t, "interrupted\n", output+errors, "a script gets no progress")
}

// TestProgressOfAScript: its client has asked for it, because a person looks on.
func TestProgressOfAScript(t *testing.T) {
	wait := Command{Name: "wait", Run: func(ctx context.Context, s *Session, _ []string) error {
		s.setProgress(func(so time.Duration) string { return fmt.Sprintf("%v of 30 s", so.Seconds()) })
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	h := hostFor(t, Options{Commands: []Command{wait}})
	_, c := h.startAs(t, filepath.Join(testwait.TempDir(t), protocol.Wishes{Progress: true}.Prefix()+"1"))
	c.send("wait\n")
	c.expect("\x05\x00\x00\x00\x00\x00\x00\x091 of 30 s\x05\x00\x00\x00\x00\x00\x00\x092 of 30 s")
	c.send(string(rune(protocol.Interrupt)))
	c.expect("\x03\x00\x00\x00\x00\x00\x00\x03130")
}

// TestAScriptMayAskForMore: oneshot top looks again and again in one session. The log and
// the history have each of its lines once, and everything else each time.
func TestAScriptMayAskForMore(t *testing.T) {
	h := hostFor(t, Options{})
	s, c := h.startAs(t, filepath.Join(testwait.TempDir(t), protocol.Wishes{More: true}.Prefix()+"1"))
	frames := protocol.NewReader(c)
	lines := append(slices.Clone(protocol.Looks), "build", "nosuch", "exit")
	for range 3 {
		for _, line := range lines[:len(lines)-1] {
			c.send(line + "\n")
			require.Equal(t, map[bool]string{true: "2", false: "0"}[line == "nosuch"], endOf(t, frames), line)
		}
	}
	c.send("exit\nbuild\n")
	require.Equal(t, "0", endOf(t, frames))
	_, _, err := frames.Next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "nothing after exit")
	h.ended(t)
	require.Equal(t, []string{protocol.Looks[0], protocol.Looks[1], "build", "nosuch", "build", "nosuch", "build", "nosuch", "exit"}, s.history)
	h.host.log.Flush(testwait.Patience)
	for _, line := range lines {
		require.Equal(t, map[bool]int{true: 3, false: 1}[line == "build" || line == "nosuch"], strings.Count(h.log.String(), line), "%s in\n%s", line, h.log)
	}
}

// endOf reads an answer and returns its exit status.
func endOf(t *testing.T, frames *protocol.Reader) string {
	t.Helper()
	for {
		kind, payload, err := frames.Next()
		require.NoError(t, err)
		if kind == protocol.End {
			return string(payload)
		}
	}
}

func TestSessionsListsTheSessions(t *testing.T) {
	started, stopped := make(chan struct{}), make(chan struct{})
	h := hostFor(t, Options{Commands: []Command{*slow(started, stopped)}})
	one := h.enter(t)
	require.Regexp(t, `, runs for \d[^h]*: sessions\n$`, one.do("sessions"))
	two := h.enter(t)
	two.send("slow\n")
	testwait.Receive(t, started, "the command to begin")
	inside, _ := h.sessions.running()
	text := one.do("sessions")
	me := fmt.Sprintf("pid %d, uid %d", inside[0].cred.PID, os.Geteuid())
	require.Regexp(t, `^\* 1  `+me+`.*, since \S+ \S+ \(\d+s\), runs for \S+: sessions\n`, text)
	require.Regexp(t, `\n  2  `+me+`.*, runs for \S+: slow\n$`, text)
	two.Close()
	testwait.Receive(t, stopped, "the command to stop")
	eventually(t, func() bool { inside, _ := h.sessions.running(); return len(inside) == 1 }, "the session does not end")
	require.NotContains(t, one.do("sessions"), "slow")
}

func TestASessionCanBeEnded(t *testing.T) {
	h := hostFor(t, Options{})
	one, two := h.enter(t), h.enter(t)
	require.Equal(t, "there is no session \"7\"; sessions shows them with their numbers\n", one.do("sessions -end 7"))
	require.Equal(t, "this is your own session; exit leaves it\n", one.do("sessions -end 1"))
	require.Contains(t, one.do("sessions 2"), "sessions takes -end N")
	require.Equal(t, "session 2 is ending\n", one.do("sessions -end 2"))
	require.Regexp(t, `\nthe session was ended: pid \d+, uid \d+ ended it with sessions -end\n$`, two.rest())
	eventually(t, func() bool { inside, _ := h.sessions.running(); return len(inside) == 1 }, "the session does not end")
	h.host.log.Flush(testwait.Patience)
	require.Regexp(t, `session closed.* reason="pid \d+, uid \d+ ended it with sessions -end"`, h.log.String())
}

func TestOnlyTheSameUserAndRootMayEndASession(t *testing.T) {
	require.True(t, mayEnd(Cred{UID: 1000}, Cred{UID: 1000}))
	require.True(t, mayEnd(Cred{UID: 0}, Cred{UID: 1000}))
	require.False(t, mayEnd(Cred{UID: 1000}, Cred{UID: 0}))
	require.False(t, mayEnd(Cred{UID: 1000}, Cred{UID: 1001}))
}

// The session that has been at the prompt for the longest time makes room for the next
// client. A session that runs a command, or got input a moment ago, does not.
func TestAForgottenSessionMakesRoom(t *testing.T) {
	started, stopped := make(chan struct{}), make(chan struct{})
	h := hostFor(t, Options{Commands: []Command{*slow(started, stopped)}})
	var clients []client
	for range maxSessions {
		clients = append(clients, h.enter(t))
	}
	require.ErrorContains(t, newSession(h.host).enter(Cred{UID: os.Geteuid()}), "8 sessions are open already")

	clients[0].send("slow\n")
	testwait.Receive(t, started, "the command to begin")
	inside, _ := h.sessions.running()
	for i, c := range inside {
		c.mu.Lock()
		c.since = time.Now().Add(-time.Duration(i+1) * forgotten)
		c.mu.Unlock()
	}
	require.ErrorContains(t, newSession(h.host).enter(Cred{UID: 4_000_000}), "8 sessions are open already", "another user may not end them")
	next := h.enter(t)
	// It has been at the prompt for the longest time.
	require.Contains(t, clients[maxSessions-1].rest(), "\nthe session was ended: pid ")
	require.NotContains(t, next.do("sessions"), fmt.Sprintf(" %d  pid", maxSessions))
	require.Contains(t, clients[1].do("help"), "stacks")
	clients[0].Close()
	testwait.Receive(t, stopped, "the command to stop")
}

func TestChangedSettingsAreReportedAtTheEnd(t *testing.T) {
	var level slog.LevelVar
	h := hostFor(t, Options{Commands: []Command{LevelCommand(&level)}})
	c := h.enter(t)
	c.do("loglevel debug")
	c.do("loglevel warn")
	c.do("mutexfraction 7")
	c.do("mutexfraction 0")
	c.send("exit\n")
	require.Equal(t, "log level stays changed: now loglevel WARN, before loglevel INFO\n", c.rest())
	h.ended(t)
	h.host.log.Flush(testwait.Patience)
	require.Contains(t, h.log.String(), `msg="oneshot: the session has left a setting changed" setting="log level" is="loglevel WARN" was="loglevel INFO"`)
}

// TestAScriptMayAskForTheCost: each answer has it before its end, also that of a command that
// does not exist.
func TestAScriptMayAskForTheCost(t *testing.T) {
	h := hostFor(t, Options{})
	_, conn := h.startAs(t, filepath.Join(testwait.TempDir(t), protocol.Wishes{More: true, Cost: true}.Prefix()+"1"))
	frames := protocol.NewReader(conn)
	stops := func() uint64 {
		for {
			kind, payload, err := frames.Next()
			require.NoError(t, err)
			require.NotEqual(t, protocol.End, kind, "no cost before the end")
			if kind == protocol.Cost {
				count, _, _, err := protocol.ParseCost(string(payload))
				require.NoError(t, err)
				endOf(t, frames)
				return count
			}
		}
	}
	for range 2 {
		conn.send("nosuch\n")
		stops()
		conn.send("stacks -go\n")
		require.NotZero(t, stops())
	}
}

// TestAnInterruptRightBehindAnAnswer: the goroutine of the session may not have noticed yet
// that the command before has ended, or failed.
func TestAnInterruptRightBehindAnAnswer(t *testing.T) {
	h := hostFor(t, Options{})
	for i := range 400 {
		_, conn := h.startAs(t, filepath.Join(testwait.TempDir(t), protocol.Wishes{More: true}.Prefix()+"1"))
		frames := protocol.NewReader(conn)
		for _, text := range []string{[]string{"gc\n", "nosuch\n"}[i%2], "profile cpu\n\x03"} {
			_, err := io.WriteString(conn, text)
			require.NoError(t, err)
			for kind := byte(0); kind != protocol.End; {
				kind, _, err = frames.Next()
				require.NoError(t, err)
			}
		}
		require.NoError(t, conn.Close())
	}
}
