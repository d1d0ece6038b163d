//go:build linux || darwin || freebsd

package oneshot

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"

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
