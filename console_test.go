//go:build linux || darwin || freebsd

package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

func TestTheBannerSaysWhoAndWhat(t *testing.T) {
	m := install(t, Options{})
	go m.Oneshot(t.Context())
	c := connect(t, m.Path())
	first := c.expect("\n")
	require.Contains(t, first, fmt.Sprintf("pid %d, ", os.Getpid()))
	require.Contains(t, first, "github.com/gomanhole/oneshot")
	require.Contains(t, first, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	second := c.expect("\n")
	require.Regexp(t, `(up \d+s; )?you are pid \d+, uid \d+; help lists the commands`, second)
}

func TestHelpNamesEveryCommandAndEachHasHelp(t *testing.T) {
	h := hostFor(t, Options{})
	c := h.enter(t)
	out := c.do("help")
	for _, cmd := range builtins() {
		require.Regexp(t, `(?m)^  `+regexp.QuoteMeta(cmd.usage())+`(\n +| +)`+regexp.QuoteMeta(cmd.Summary)+`$`, out)
		require.Contains(t, c.do("help "+cmd.Name), cmd.Summary)
	}
}

func TestCommandsSayWhatTheyShould(t *testing.T) {
	h := hostFor(t, Options{})
	c := h.enter(t)
	for _, test := range []struct{ line, says string }{
		{"mem", `(?s)heap in use +[\d.]+ [KMG]iB; the last .*\nstacks .*\nfrom system .*\ncollector +\d+ cycles.*\nsettings +GOGC 100, memory limit none\n`},
		{"gc", `^collected in [\d.]+[µm]?s; freed [\d.]+ \w*B; heap in use [\d.]+ \wiB\n$`},
		{"build", `go1\.[\s\S]*mod\tgithub.com/gomanhole/oneshot\t`},
		{"stacks -n 1", `(?s)goroutines in \d+ groups.*\n\d+ groups? more with \d+ goroutines?: stacks -n 0\n`},
		{"stacks -n -1", `stacks: -n -1: give the number of groups, 0 for all\n`},
		{"stacks everything", `0 goroutines \(of \d+\) in 0 groups`},
		{"stacks a b", `stacks: one regular expression at a time, not \["a" "b"\]; use a\|b for several\n`},
		{"stacks (", "stacks: error parsing regexp: missing closing \\): `\\(`\n"},
		{"stacks -x", `stacks: flag provided but not defined: -x; help stacks says more\n`},
		{"stacks -pprof", `give the name of a new file: stacks -pprof -o FILE`},
		{"stacks -go -pprof", `either -go or -pprof`},
		{"stacks -go -diff", `they take no -state, -diff, -full or expression`},
		{"goroutine", `give the id of one goroutine: goroutine 18\n`},
		{"goroutine x", `goroutine: "x" is not an id`},
		{"goroutine 99999999", `there is no goroutine 99999999 now; it may have ended`},
		{"history", `(?m)^   1  mem\n   2  gc\n[\s\S]*\n *\d+  history\n$`},
	} {
		require.Regexp(t, regexp.MustCompile(test.says), c.do(test.line), test.line)
	}
	require.NotContains(t, c.do("stacks -n 0"), "more with")
}

func TestSignalsSaysWhatThisProcessListensTo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc, as Linux has it")
	}
	m := install(t, Options{})
	c := m.enter(t)
	out := c.do("signals")
	for _, row := range []string{"SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"} {
		require.Regexp(t, row+` [0-9a-f]{16}  `, out)
	}
	require.Regexp(t, `SigCgt .*SIGURG`, out)
	require.Regexp(t, `SIGTERM +nobody handles it: the process dies of it`, out)
	stop := listenTo(0x0f)
	require.Regexp(t, `SIGTERM +the program handles it`, c.do("signals"))
	stop()
}

func TestEqualStacksAreOneGroup(t *testing.T) {
	release := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(release)
	for range 200 {
		wg.Go(func() { parkInReceive(release) })
	}
	h := hostFor(t, Options{})
	c := h.enter(t)
	eventually(t, func() bool {
		out := c.do("stacks")
		first := strings.Split(out, "\n\n")[1]
		return strings.HasPrefix(first, "200 (") && strings.Contains(first, "chan receive") &&
			strings.Contains(first, "parkInReceive") && strings.Contains(first, "console_test.go:")
	}, "the largest group does not come first")
	require.Contains(t, c.do("stacks -go"), "(*Session)")
	require.NotContains(t, c.do("stacks -n 0"), "(*Session)", "the manhole leaves itself out")
	require.NotContains(t, c.do("stacks -n 0"), "not begun yet")
}

func parkInReceive(c chan struct{}) { <-c }

func TestTheLogLevelIsShownAndSet(t *testing.T) {
	lv := new(slog.LevelVar)
	cmd := LevelCommand(lv)
	_, c := startSession(t, &cmd)
	c.expect(protocol.Prompt)
	require.Equal(t, "log level is INFO\n", c.do("loglevel"))
	for _, test := range []struct {
		value, was string
		is         slog.Level
	}{
		{"debug", "INFO", slog.LevelDebug},
		{"INFO+2", "DEBUG", slog.LevelInfo + 2},
		{"-4", "INFO+2", slog.LevelDebug},
		{"warn", "DEBUG", slog.LevelWarn},
		{"Error-1", "WARN", slog.LevelError - 1},
		{"0", "WARN+3", slog.LevelInfo},
	} {
		require.Equal(t, fmt.Sprintf("log level was %s, is %v\n", test.was, test.is), c.do("loglevel "+test.value))
		require.Equal(t, test.is, lv.Level())
	}
	for _, value := range []string{"loud", "info+", "debug info", "''", "warning", "99999999999999999999"} {
		require.Regexp(t, `^loglevel: "[^"]*": give debug, info, warn, error, INFO\+2 or a number\n$`, c.do("loglevel "+value))
	}
	require.Equal(t, slog.LevelInfo, lv.Level())
}

func TestNoLogLevelIsAnError(t *testing.T) {
	cmd := LevelCommand(nil)
	_, c := startSession(t, &cmd)
	c.expect(protocol.Prompt)
	for _, line := range []string{"loglevel", "loglevel debug"} {
		require.Equal(t, "loglevel: the program has no level to set; give LevelCommand the LevelVar of its handler\n", c.do(line))
	}
}

// greeter is a console with something of its own before it.
type greeter struct{ Console }

func (g greeter) Serve(ctx context.Context, s *Session) error {
	fmt.Fprintln(s, "hello")
	return g.Console.Serve(ctx, s)
}

// TestAConsoleBehindAPointerIsAConsole: so is a handler that embeds one.
func TestAConsoleBehindAPointerIsAConsole(t *testing.T) {
	for name, h := range map[string]Handler{"pointer": &Console{}, "embedded": greeter{}, "pointer to embedded": &greeter{}} {
		t.Run(name, func(t *testing.T) {
			h := hostFor(t, Options{Handler: h})
			c := h.enter(t)
			require.Contains(t, c.do("mem"), "heap in use")
			c.Close()
			h.ended(t)

			answer := h.answer(t, "gc")
			require.Contains(t, answer[protocol.Output], "collected in")
			require.Empty(t, answer[protocol.Error])
		})
	}
	h := hostFor(t, Options{Handler: &greeter{}})
	s, c := h.start(t)
	require.Regexp(t, `^\S+, pid \d+, .*\nhello\nup `, c.expect("you are"), "the first line says which program it is")
	c.Close()
	testwait.Receive(t, s.done, "the session to end")
}

// handlerFunc is a handler that is a function.
type handlerFunc func(ctx context.Context, s *Session) error

func (f handlerFunc) Serve(ctx context.Context, s *Session) error { return f(ctx, s) }

func TestALineThatIsTooLongCanBeToldApart(t *testing.T) {
	got := make(chan error, 2)
	h := hostFor(t, Options{Handler: handlerFunc(func(_ context.Context, s *Session) error {
		_, err := s.ReadLine()
		got <- err
		line, err := s.ReadLine()
		got <- err
		fmt.Fprint(s, line)
		return nil
	})})
	s, c := h.start(t)
	c.send(strings.Repeat("x", 65<<10) + "\nnext\n")
	require.ErrorIs(t, testwait.Receive(t, got, "the first line"), ErrLineTooLong)
	require.NoError(t, testwait.Receive(t, got, "the second line"))
	require.Equal(t, "next", c.rest())
	testwait.Receive(t, s.done, "the session to end")
}

func TestOneCommandHasTheOtherLines(t *testing.T) {
	run := func(_ context.Context, s *Session, args []string) error { _, err := fmt.Fprintln(s, args); return err }
	for _, commands := range [][]Command{
		{{Run: run}},
		{{Fallback: true, Run: run}, {Name: "x", Fallback: true, Run: run}},
	} {
		_, err := Install(Options{SocketPath: testwait.TempDir(t) + "/s", Commands: commands})
		require.ErrorContains(t, err, "oneshot: Commands: ")
	}
	h := hostFor(t, Options{Commands: []Command{{Name: "calc", Fallback: true, Run: run}}})
	c := h.enter(t)
	require.Equal(t, "[1 +  2]\n", c.do("1 +  2"))
	require.Equal(t, "[1 2]\n", c.do("calc 1 2"), "it can be called by its name too")
}

// evil is an error with which everything panics, with the error itself.
type evil struct{}

func (e evil) Error() string { panic(e) }
func (e evil) Is(error) bool { panic(e) }
func (e evil) As(any) bool   { panic(e) }
func (e evil) Unwrap() error { panic(e) }

// round is an error that wraps itself.
type round struct{}

func (e *round) Error() string { return "round" }
func (e *round) Unwrap() error { return e }

// away is a Stringer that ends its goroutine.
type away struct{}

func (away) String() string { runtime.Goexit(); return "" }
func (away) Error() string  { runtime.Goexit(); return "" }

// evilText is a Stringer and a LogValuer that panics.
type evilText struct{}

func (e evilText) String() string       { panic(evil{}) }
func (e evilText) LogValue() slog.Value { panic(evil{}) }

const evilFailure = "oneshot.evil{} (its Error panicked: oneshot.evil{})"

// TestPanicsOfPanics: an error or panic whose own methods panic, end their goroutine
// or have no end harms neither the program nor the session.
func TestPanicsOfPanics(t *testing.T) {
	command := func(name string, run func(s *Session) error) Command {
		return Command{Name: name, Run: func(_ context.Context, s *Session, _ []string) error { return run(s) }}
	}
	m := install(t, Options{
		Commands: []Command{
			command("panics", func(*Session) error { panic(evil{}) }),
			command("panicsText", func(*Session) error { panic(evilText{}) }),
			command("panicsAway", func(*Session) error { panic(away{}) }),
			command("fails", func(*Session) error { return evil{} }),
			command("failsNil", func(*Session) error { return (*timeout)(nil) }),
			command("failsRound", func(*Session) error { return &round{} }),
			command("failsAway", func(*Session) error { return away{} }),
			command("wraps", func(*Session) error { return errors.Join(evil{}, io.ErrNoProgress) }),
			command("leaves", func(*Session) error { return errors.Join(evil{}, io.EOF, errExit) }),
		},
		Locals: map[string]any{
			"live": evil{}, "copied": func() any { return evil{} }, "panics": func() any { panic(evil{}) },
			"text": func() any { return evilText{} }, "liveText": evilText{}, "nothing": (func() any)(nil),
		},
	})
	c := m.enter(t)
	require.Contains(t, c.do("panics"), "panics panicked: "+evilFailure+"\ngoroutine ")
	require.Contains(t, c.do("panicsText"), "panicsText panicked: oneshot.evilText(not read) (its String panicked: oneshot.evil{})\n")
	require.Contains(t, c.do("panicsAway"), "panicsAway panicked\n")
	require.Equal(t, evilFailure+"\n", c.do("fails"))
	require.Contains(t, c.do("failsNil"), "nil *oneshot.timeout (its Error panicked: runtime error: invalid memory address")
	require.Equal(t, "round\n", c.do("failsRound"))
	require.Equal(t, "failsAway ended its goroutine (runtime.Goexit)\n", c.do("failsAway"))
	require.Contains(t, c.do("wraps"), "errors.joinError")
	require.Contains(t, c.do("print copied"), "!panic in Error: oneshot.evil{}")
	require.Equal(t, "oneshot.evil{}\n", c.do("print live"))
	require.Equal(t, "print: panics: !panic: "+evilFailure+"\n", c.do("print panics"))
	require.Contains(t, c.do("print text"), "as logged: !panic in LogValue: "+evilFailure)
	require.Contains(t, c.do("print liveText"), "oneshot.evilText(not read)\n")
	require.Equal(t, "nil func() any\n", c.do("print nothing"))
	text := c.do("locals")
	require.Regexp(t, `(?m)^panics +!panic: `, text)
	c.send("leaves\n")
	require.Empty(t, c.rest())
}

type timeout struct{ after time.Duration }

func (e *timeout) Error() string { return e.after.String() }

func TestAPanicOfAuthorize(t *testing.T) {
	for name, c := range map[string]struct {
		authorize func(Cred) error
		reason    string
	}{
		"panics":                              {func(Cred) error { panic(evil{}) }, "the Authorize function panicked: " + evilFailure},
		"panics with what ends its goroutine": {func(Cred) error { panic(away{}) }, "the Authorize function ended its goroutine"},
		"refuses":                             {func(Cred) error { return evil{} }, evilFailure},
		"refuses, round":                      {func(Cred) error { return &round{} }, "round"},
		"ends":                                {func(Cred) error { return away{} }, "the Authorize function ended its goroutine"},
	} {
		t.Run(name, func(t *testing.T) {
			m := install(t, Options{Authorize: c.authorize})
			require.Equal(t, "oneshot: refused: "+c.reason+"\n", m.once(t).rest())
			eventually(t, func() bool { return strings.Contains(m.log.String(), "client refused") }, "the refusal is not in the log")
			require.Contains(t, m.log.String(), c.reason)
		})
	}
}

// once opens a window and connects. The window ends with the test.
func (m testManhole) once(t *testing.T) client {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Oneshot(ctx) }()
	t.Cleanup(func() {
		cancel()
		_ = testwait.Receive(t, done, "Oneshot to return")
	})
	return connect(t, m.Path())
}

// TestAPanicOfAHandler: the handler of the program is a command too.
func TestAPanicOfAHandler(t *testing.T) {
	for name, serve := range map[string]handlerFunc{
		"panics": func(context.Context, *Session) error { panic(evil{}) },
		"fails":  func(context.Context, *Session) error { return evil{} },
	} {
		t.Run(name, func(t *testing.T) {
			m := install(t, Options{Handler: serve})
			require.Empty(t, m.once(t).rest())
			eventually(t, func() bool { return strings.Contains(m.log.String(), evilFailure) }, "the reason is not in the log")
		})
	}
}

// TestASessionHasOneContext: a handler of the program that calls Console.Serve or
// Exec.Serve with a context of its own decides with it for how long, and its commands
// run below that context.
func TestASessionHasOneContext(t *testing.T) {
	type key struct{}
	for name, inner := range map[string]Handler{"Console": Console{}, "Exec": Exec{}} {
		t.Run(name, func(t *testing.T) {
			ended, stop := make(chan error, 1), make(chan context.CancelCauseFunc, 1)
			ran := make(chan error, 1)
			same := func(ctx context.Context, s *Session) {
				if ctx != s.Context() {
					t.Error("Context returns another context than the one that was passed")
				}
			}
			h := hostFor(t, Options{
				Handler: handlerFunc(func(ctx context.Context, s *Session) error {
					same(ctx, s)
					ctx, cancel := context.WithCancelCause(context.WithValue(ctx, key{}, "ours"))
					defer cancel(nil)
					stop <- cancel
					err := inner.Serve(ctx, s)
					ended <- err
					return err
				}),
				Commands: []Command{{Name: "wait", Run: func(ctx context.Context, s *Session, _ []string) error {
					same(ctx, s)
					if ctx.Value(key{}) != "ours" {
						t.Error("the context of the command is not derived from the handler's")
					}
					stop := testwait.Receive(t, stop, "the handler's cancel")
					stop(errors.New("closing time"))
					<-ctx.Done()
					ran <- context.Cause(ctx)
					return nil
				}}},
			})
			s, c := h.start(t)
			c.send("wait\n")
			require.EqualError(t, testwait.Receive(t, ran, "the command to end"), "closing time")
			require.EqualError(t, testwait.Receive(t, ended, "Serve to return"), "closing time")
			c.rest()
			testwait.Receive(t, s.done, "the session to end")
		})
	}
}

// TestASessionEndsWithItsClientUnderAnyContext: a handler may even call Serve with a
// context that is not derived from its own.
func TestASessionEndsWithItsClientUnderAnyContext(t *testing.T) {
	started, stopped := make(chan struct{}), make(chan struct{})
	h := hostFor(t, Options{
		Handler:  handlerFunc(func(_ context.Context, s *Session) error { return Console{}.Serve(context.Background(), s) }),
		Commands: []Command{*slow(started, stopped)},
	})
	s, c := h.start(t)
	c.send("slow\n")
	testwait.Receive(t, started, "the command to begin")
	c.Close()
	testwait.Receive(t, stopped, "the command to stop")
	testwait.Receive(t, s.done, "the session to end")
	require.ErrorIs(t, context.Cause(s.ctx), errGone)
}
