//go:build linux || darwin || freebsd

package oneshot

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

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
