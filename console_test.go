//go:build linux || darwin || freebsd

package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestTheBannerNamesProgramAndClient(t *testing.T) {
	m := install(t, Options{})
	go m.Oneshot(t.Context())
	c := connect(t, m.Path())
	first := c.expect("\n")
	require.Contains(t, first, fmt.Sprintf("pid %d, ", os.Getpid()))
	require.Contains(t, first, "github.com/gomanhole/oneshot")
	require.Contains(t, first, runtime.Version())
	require.LessOrEqual(t, len(first), len("\n")+80, first)
	second := c.expect("\n")
	require.Regexp(t, `(up \d+s; )?you are pid \d+, uid \d+; help lists the commands`, second)
}

func TestHelpListsAndExplainsEveryCommand(t *testing.T) {
	h := hostFor(t, Options{})
	c := h.enter(t)
	out := c.do("help")
	for _, cmd := range builtins() {
		require.Regexp(t, `(?m)^  `+regexp.QuoteMeta(cmd.usage())+`(\n +| +)`+regexp.QuoteMeta(cmd.Summary)+`$`, out)
		require.Contains(t, c.do("help "+cmd.Name), cmd.Summary)
	}
}

func TestALineCanBeCompletedWithWhatTheProgramKnows(t *testing.T) {
	nothing := func(context.Context, *Session, []string) error { return nil }
	h := hostFor(t, Options{
		Commands: []Command{{Name: "flush", Run: nothing}, {Fallback: true, Run: nothing}, LevelCommand(new(slog.LevelVar))},
		Locals:   map[string]any{"cache": 1, "conns": 2},
	})
	_, c := h.start(t)
	c.expect(protocol.Prompt)
	ask := func(line string) []string {
		c.send(protocol.QueryLine(0xbeef, line) + "\n")
		id, words, ok := protocol.ParseAnswer(strings.TrimSuffix(c.expect("\n"), "\n"))
		require.True(t, ok)
		require.Equal(t, "0000beef", id)
		return words
	}
	for _, test := range []struct {
		line string
		want []string
	}{
		{"flu", []string{"flush"}},
		{"hel", []string{"help"}},
		{"help flu", []string{"flush"}},
		{"  'x", nil},
		{"print c", []string{"cache", "conns"}},
		{"print -r", []string{"-racy"}},
		{"co", []string{"conns"}},
		{"len(con", []string{"len(conns"}},
		{"1 + len(cache) + con", []string{"conns"}},
		{"loglevel d", []string{"debug"}},
		{"loglevel debug -f", []string{"-for"}},
		{"metrics /sched/gomaxprocs", []string{"/sched/gomaxprocs:threads"}},
		{"stderr o", []string{"off", "on"}},
		{"profile goroutine -sec", []string{"-seconds"}},
		{"nosuch -f", nil},
		{"flush x", nil},
	} {
		require.Equal(t, test.want, ask(test.line), test.line)
	}
	require.Contains(t, ask("stacks -state "), "'chan receive'")
	require.Contains(t, ask("stacks -state chan"), "'chan receive'")
	require.Contains(t, ask("stacks -state 'chan r"), "'chan receive'")
	require.Contains(t, ask("metrics "), "/gc/heap/live:bytes")
	if runtime.GOOS == "linux" {
		require.Contains(t, ask("proc lim"), "limits")
		require.Contains(t, ask("proc ne"), "net/")
		require.Contains(t, ask("proc net/un"), "net/unix")
		for _, line := range []string{"proc cwd/", "proc ../", "proc /", "proc net/nosuch/"} { // no link is followed
			require.Empty(t, ask(line), line)
		}
	}
	c.send(protocol.QueryLine(1, "flu")[:8] + "\n") // not a query
	c.expect(protocol.Prompt)
	require.Equal(t, 1, strings.Count(c.do("history"), "\\x05"), "queries are not kept")
	require.NotContains(t, h.log.String(), "print c")

	script := h.dialScript(t)
	script.send(protocol.QueryLine(2, "flu") + "\n")
	output, errs, status := answer(t, script)
	require.Empty(t, output+errs)
	require.Equal(t, "0", status, "to a script it is a line like any other")
}

func TestTheAnswersOfCommands(t *testing.T) {
	h := hostFor(t, Options{})
	c := h.enter(t)
	for _, test := range []struct{ line, says string }{
		{"mem", `(?s)heap in use +[\d.]+ [KMG]iB; the last .*\nstacks .*\nfrom system .*\ncollector +\d+ cycles?.*\nsettings +GOGC 100, memory limit none\n`},
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
		{"stacks -go -diff", `they take no -state, -diff, -full, -frames, -paths or expression`},
		{"goroutine", `give the id of one goroutine: goroutine 18\n`},
		{"goroutine x", `goroutine: "x" is not an id`},
		{"goroutine 99999999", `there is no goroutine 99999999 now; it may have ended`},
		{"history", `(?m)^   1  mem\n   2  gc\n[\s\S]*\n *\d+  history\n$`},
	} {
		require.Regexp(t, regexp.MustCompile(test.says), c.do(test.line), test.line)
	}
	require.NotContains(t, c.do("stacks -n 0"), "more with")
}

func TestSignalsShowsTheSubscriptions(t *testing.T) {
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
		_, groups, _ := strings.Cut(out, " by identical stacks")
		_, first, _ := strings.Cut(groups, "\n\n")
		return strings.HasPrefix(first, "200 (") && strings.Contains(first, "chan receive") &&
			strings.Contains(first, "parkInReceive") && strings.Contains(first, "  console_test.go:")
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

// greeter is a console that first writes a line of its own.
type greeter struct{ Console }

func (g greeter) Serve(ctx context.Context, s *Session) error {
	fmt.Fprintln(s, "hello")
	return g.Console.Serve(ctx, s)
}

// A handler that embeds Console is a console too.
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

func TestALineThatIsTooLongHasItsOwnError(t *testing.T) {
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

func TestTheFallbackRunsAllOtherLines(t *testing.T) {
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

// evil is an error whose methods panic with the error itself.
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

// The methods of such an error or panic themselves panic, end their goroutine, or do not
// end. Neither the program nor the session may be harmed.
func TestAPanicWhoseTextPanics(t *testing.T) {
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

// A handler that panics, or returns such an error, must not end the program.
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

// A handler of the program may call Console.Serve or Exec.Serve with a context of its own.
// This context ends the session, and the contexts of its commands are derived from it.
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

// A handler may even call Serve with a context that is not derived from the session's.
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

type account struct {
	Name    string
	balance int
	Friends map[string]int
	self    *account
}

func TestLocalsAndPrint(t *testing.T) {
	a := &account{Name: "ada", balance: 7, Friends: map[string]int{"bob": 1}}
	a.self = a
	var mu sync.Mutex
	calls := 0
	h := hostFor(t, Options{Locals: map[string]any{
		"account": a,
		"copy":    func() any { return *a },
		"calls": func() any {
			mu.Lock()
			defer mu.Unlock()
			calls++
			return calls
		},
		"broken":  func() any { panic("not today") },
		"none":    nil,
		"friends": func() any { return maps.Clone(a.Friends) },
		"text":    "a\x1b[31mb\n",
	}, Commands: []Command{{Name: "keep", Run: func(_ context.Context, s *Session, args []string) error {
		v, ok := s.Local(args[0])
		if !ok {
			return fmt.Errorf("no %s", args[0])
		}
		return s.SetLocal(args[1], v)
	}}}})
	c := h.enter(t)
	text := c.do("locals")
	require.Regexp(t, `(?m)^account +\*oneshot\.account +\{Name: string\(3 bytes not read\), balance: 7`, text)
	require.Regexp(t, `(?m)^broken +!panic: not today$`, text)
	require.Regexp(t, `(?m)^calls +int +1$`, text)
	require.Regexp(t, `(?m)^none +nil +nil$`, text)
	require.Regexp(t, `(?m)^text +string +"a\\x1b\[31mb\\n"$`, text)
	require.Equal(t, "2\n", c.do("print calls"), "it is called each time")
	require.Equal(t, `&oneshot.account{
  Name: string(3 bytes not read)
  balance: 7
  Friends: map[string]int{1 not read}
  self: <cycle: *oneshot.account>
}
not read: the program may be writing it; see help print
`, c.do("print account"))
	require.Regexp(t, `(?s)Name: "ada".*"bob": 1.*cycle.*\n\}\n$`, c.do("print -racy account"))
	require.Regexp(t, `(?s)Name: "ada".*"bob": 1`, c.do("print copy"), "a func has copied it")
	require.Contains(t, c.do("print friends"), `"bob": 1`)
	require.Contains(t, c.do("help print"), "END THE PROGRAM")
	require.Equal(t, "print: broken: !panic: not today\n", c.do("print broken"))
	require.Equal(t, `print: there is no local "nosuch"; there are account, broken, calls, copy, friends, none, text`+"\n", c.do("print nosuch"))
	require.Equal(t, "print: give one name; locals lists them\n", c.do("print"))

	// What one session keeps is not visible in others.
	require.Empty(t, c.do("keep account mine"))
	require.Contains(t, c.do("print mine"), "balance: 7")
	require.Contains(t, c.do("print mine"), "3 bytes not read", "it is still what the program writes")
	require.Empty(t, c.do("keep calls account"), "it hides the program's")
	require.Equal(t, "3\n", c.do("print account"))
	other := h.enter(t)
	require.Contains(t, other.do("print mine"), "no local")
	require.Contains(t, other.do("print account"), "balance: 7")
}

func TestTheNamesOfASessionAreLimited(t *testing.T) {
	s := newSession(hostFor(t, Options{}).host)
	for n := range maxKept {
		require.NoError(t, s.SetLocal(fmt.Sprint(n), n))
	}
	require.ErrorContains(t, s.SetLocal("another", 1), "100 names are kept already")
	require.NoError(t, s.SetLocal("1", "another value"))
}

// A func that does not return is left running. The values that were shown before are not lost.
func TestALocalThatBlocks(t *testing.T) {
	block, letGo := testwait.Gate(t)
	entered := make(chan struct{}, 1)
	h := hostFor(t, Options{Locals: map[string]any{
		"a": 1,
		"b": func() any { entered <- struct{}{}; <-block; return 2 },
	}})
	c := h.enter(t)
	c.send("locals\n")
	testwait.Receive(t, entered, "the func to be called")
	c.send("\x03")
	text := c.expect(protocol.Prompt)
	require.EqualValues(t, 1, h.abandoned.Load())
	letGo()
	require.Regexp(t, `^a +int +1\n`, text)
	require.Contains(t, text, "interrupted, but it does not stop")
	require.Contains(t, c.do("print a"), "1")
	eventually(t, func() bool { return h.abandoned.Load() == 0 }, "the command does not end")
	// Its later output is lost.
	require.Equal(t, "1\n", c.do("print a"))
}

func TestNamesThatCannotBeTyped(t *testing.T) {
	for _, name := range []string{"", "a b", "a\n"} {
		_, err := Install(Options{Locals: map[string]any{name: 1}, SocketPath: testwait.TempDir(t) + "/s"})
		require.ErrorContains(t, err, "Locals: ")
		require.ErrorContains(t, err, "cannot be typed as one word")
		_, err = Install(Options{Sections: map[string]func(context.Context, io.Writer) error{name: nil}, SocketPath: testwait.TempDir(t) + "/s"})
		require.ErrorContains(t, err, "Sections: ")
	}
}

func TestTheCommandsGetWhatTheProgramHasGiven(t *testing.T) {
	h := hostFor(t, Options{
		Sections: map[string]func(context.Context, io.Writer) error{"cache": func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "3 entries\n")
			return err
		}},
		FlightRecorder: strings.NewReader("go 1.26 trace"),
	})
	output, errors, _ := h.script(t, "sections cache\n")
	require.Equal(t, "3 entries\n", output+errors)
	output, errors, _ = h.script(t, "trace -last\n")
	require.Equal(t, "go 1.26 trace", output+errors)
}
