//go:build linux || darwin || freebsd

package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

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

	// What a session keeps is its own.
	require.Empty(t, c.do("keep account mine"))
	require.Contains(t, c.do("print mine"), "balance: 7")
	require.Contains(t, c.do("print mine"), "3 bytes not read", "it is still what the program writes")
	require.Empty(t, c.do("keep calls account"), "it hides the program's")
	require.Equal(t, "3\n", c.do("print account"))
	other := h.enter(t)
	require.Contains(t, other.do("print mine"), "no local")
	require.Contains(t, other.do("print account"), "balance: 7")
}

func TestASessionKeepsSoManyNames(t *testing.T) {
	s := newSession(hostFor(t, Options{}).host)
	for n := range maxKept {
		require.NoError(t, s.SetLocal(fmt.Sprint(n), n))
	}
	require.ErrorContains(t, s.SetLocal("another", 1), "100 names are kept already")
	require.NoError(t, s.SetLocal("1", "another value"))
}

// A func that does not return is left behind, and what was shown before it stays.
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
	require.EqualValues(t, 1, h.leftBehind.Load())
	letGo()
	require.Regexp(t, `^a +int +1\n`, text)
	require.Contains(t, text, "interrupted, but it does not stop")
	require.Contains(t, c.do("print a"), "1")
	eventually(t, func() bool { return h.leftBehind.Load() == 0 }, "the command does not end")
	// What it has written in the end is lost.
	require.Equal(t, "1\n", c.do("print a"))
}

func TestLocalsThatCannotBeTyped(t *testing.T) {
	for _, name := range []string{"", "a b", "a\n"} {
		_, err := Install(Options{Locals: map[string]any{name: 1}, SocketPath: testwait.TempDir(t) + "/s"})
		require.ErrorContains(t, err, "cannot be typed as one word")
	}
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
