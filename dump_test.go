//go:build linux || darwin || freebsd

package oneshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// parkMany starts goroutines that wait until the end of the test.
func parkMany(t *testing.T, n int, wait func(<-chan struct{})) {
	t.Helper()
	stop := make(chan struct{})
	var waiting, ended sync.WaitGroup
	for range n {
		waiting.Add(1)
		ended.Go(func() {
			waiting.Done()
			wait(stop)
		})
	}
	waiting.Wait()
	t.Cleanup(func() {
		close(stop)
		ended.Wait()
	})
	eventually(t, func() bool {
		s, err := stack.Profile(ours.Is)
		require.NoError(t, err)
		running := 0
		for _, g := range s.Groups {
			if g.State == "runnable" {
				running += g.Count
			}
		}
		return running <= 1
	}, "they do not come to rest")
}

func waitHere(stop <-chan struct{}) { <-stop }
func waitThere(stop <-chan struct{}) {
	pprof.Do(context.Background(), pprof.Labels("tenant", "acme"), func(context.Context) { <-stop })
}

func dumped(t *testing.T, o DumpOptions) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, Dump(&b, o))
	return b.String()
}

func TestASmallProgramIsShownWithIDs(t *testing.T) {
	parkMany(t, 30, waitHere)
	parkMany(t, 3, waitThere)
	out := dumped(t, DumpOptions{Groups: -1})
	require.Regexp(t, `(?m)^30 \(\d+%\) chan receive\n    goroutines( \d+){8} and 22 more\n    `+
		`github.com/gomanhole/oneshot.waitHere  dump_test.go:\d+\n`, out)
	require.Regexp(t, `(?m)^3 \(\d+%\) chan receive \{"tenant":"acme"\}\n    goroutines( \d+){3}\n`, out)
	require.Regexp(t, `    created by sync.\(\*WaitGroup\).Go  \S+:\d+\n`, out)
	full := dumped(t, DumpOptions{Full: true, Match: regexp.MustCompile(`waitHere`)})
	require.Len(t, idsOf(t, full, "    goroutines"), 30)
}

// idsOf returns the ids that follow a text in a dump. A range such as 18-20 has three ids.
func idsOf(t *testing.T, dump, text string) (ids []int) {
	t.Helper()
	_, list, found := strings.Cut(dump, text)
	require.True(t, found, dump)
	for _, item := range strings.Fields(list) {
		var first, last int
		if n, _ := fmt.Sscanf(item, "%d-%d", &first, &last); n == 0 {
			break
		} else if n == 1 {
			last = first
		}
		for id := first; id <= last; id++ {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestALargeProgramIsNotStopped(t *testing.T) {
	parkMany(t, 600, waitHere)
	out, full := dumped(t, DumpOptions{}), dumped(t, DumpOptions{Full: true})
	require.Len(t, idsOf(t, full, ") chan receive\n    goroutines"), 600)
	if reason := stack.CannotRead(); reason != "" {
		require.Regexp(t, `(?m)^600 \(\d+%\) chan receive\n    github.com/gomanhole/oneshot.waitHere`, out)
		require.NotRegexp(t, `(?m)^    goroutines? \d`, out, "only who has stopped the program for each of them knows their ids")
		require.Contains(t, out, "\nthe goroutines cannot be read one by one: ")
		require.Contains(t, full, "the program was stopped for ")
		return
	}
	require.Regexp(t, `(?m)^600 \(\d+%\) chan receive\n    goroutines( \d+){8} and 592 more\n    github.com/gomanhole/oneshot.waitHere`, out)
	require.Regexp(t, `    created by sync.\(\*WaitGroup\).Go  \S+:\d+\n`, out)
	require.NotContains(t, out+full, "the program was stopped for ")
	require.NotContains(t, out, "one by one")
}

func TestADumpSelectsGroups(t *testing.T) {
	parkMany(t, 5, waitHere)
	parkMany(t, 4, waitThere)
	for _, c := range []struct {
		o    DumpOptions
		here bool
		none bool
	}{
		{DumpOptions{Match: regexp.MustCompile(`waitHere$`)}, true, false},
		{DumpOptions{Match: regexp.MustCompile(`dump_test.go:\d+$`), State: "CHAN"}, true, false},
		{DumpOptions{Match: regexp.MustCompile(`waitThere`)}, false, false},
		{DumpOptions{State: "sync.Mutex"}, false, true},
	} {
		out := dumped(t, c.o)
		require.Equal(t, c.here, strings.Contains(out, "waitHere"), out)
		require.Equal(t, c.none, strings.Contains(out, "0 goroutines (of "), out)
	}
	require.Contains(t, dumped(t, DumpOptions{Match: (*regexp.Regexp)(nil)}), "waitHere")
	require.Regexp(t, `\n\d+ groups? more with \d+ goroutines?: stacks -n 0\n`, dumped(t, DumpOptions{Groups: 1}))
}

func TestDiffShowsWhatGrewAndShrank(t *testing.T) {
	s, c := startSession(t)
	c.expect(protocol.Prompt)
	require.Contains(t, c.do("stacks -diff -n 0"), "since the dump before, ")
	t.Run("grown", func(t *testing.T) {
		parkMany(t, 7, waitThere)
		parkMany(t, 40, waitHere)
		out := c.do("stacks -diff -n 0 wait.*ere")
		require.Regexp(t, `(?s)\+40 \(40, was 0\) chan receive.*waitHere.*\+7 \(7, was 0\) chan receive.*waitThere`, out)
		require.Contains(t, c.do("stacks -diff waitHere"), "no group has grown or shrunk")
	})
	require.Regexp(t, `(?s)-7 \(0, was 7\).*-40 \(0, was 40\)`, c.do("stacks -diff -n 0 wait.*ere"))
	s.mu.Lock()
	s.snapshot = nil
	s.mu.Unlock()
	require.Contains(t, c.do("stacks -diff"), "nothing to compare with")
}

func TestGoroutineShowsOne(t *testing.T) {
	parkMany(t, 1, waitHere)
	_, c := startSession(t)
	c.expect(protocol.Prompt)
	id := regexp.MustCompile(`goroutine (\d+)\n    github.com/gomanhole/oneshot.waitHere`).FindStringSubmatch(c.do("stacks -n 0"))
	require.Len(t, id, 2)
	require.Regexp(t, `^goroutine `+id[1]+` \[chan receive\]:\ngithub.com/gomanhole/oneshot.waitHere\(`, c.do("goroutine "+id[1]))
}

func TestStacksInTheFormsOfTheRuntime(t *testing.T) {
	parkMany(t, 3, waitHere)
	_, c := startSession(t)
	c.expect(protocol.Prompt)
	require.Regexp(t, `(?m)^goroutine \d+ \[chan receive\]:\ngithub.com/gomanhole/oneshot.waitHere\(`, c.do("stacks -go"))

	file := filepath.Join(t.TempDir(), "goroutines.pb.gz")
	require.Regexp(t, `^[\d.]+ K?i?B written to `, c.do("stacks -pprof -o "+file))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.Contains(t, c.do("stacks -pprof -o "+file), "file already exists; -o needs the name of a file that does not exist yet")
	require.Contains(t, c.do("stacks -o "+file+".d/x"), "no such file or directory; -o needs a folder that exists, as the program sees it: proc cwd shows")
	after, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, info.ModTime(), after.ModTime(), "what is there is left alone")
	require.Regexp(t, `3 .*github.com/gomanhole/oneshot.waitHere`, goTool(t, "pprof", "-top", file))
}

// failingWriter fails after some bytes.
type failingWriter struct{ left int }

var errFull = errors.New("full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestAWriterThatFailsEndsTheDump(t *testing.T) {
	for _, o := range []DumpOptions{{}, {Form: DumpGo}, {Form: DumpPprof}} {
		require.ErrorIs(t, Dump(&failingWriter{100}, o), errFull)
	}
}

// A client that does not read gets the dump of a large program. Other dumps must still
// work.
func TestASlowClientHoldsNothingUp(t *testing.T) {
	parkMany(t, 600, waitHere)
	_, c := startSession(t)
	c.expect(protocol.Prompt)
	c.send(strings.Repeat("stacks -go -force\n", 4)) // more than the socket has room for
	for range 5 {
		runtime.GC()
		require.Contains(t, dumped(t, DumpOptions{}), "waitHere")
	}
	for range 4 {
		require.Contains(t, c.expect(protocol.Prompt), "waitHere")
	}
}

// stuckLogger is a logger that does not return until it is let go.
type stuckLogger struct {
	slog.Handler
	release <-chan struct{}
}

func (h stuckLogger) Enabled(context.Context, slog.Level) bool { return true }

func (h stuckLogger) Handle(context.Context, slog.Record) error {
	<-h.release
	return nil
}

// The manhole's goroutines are a receiver, an activation, an open window, a session with a
// command and with the standard error, and a stuck log.
func TestADumpLeavesOutTheManholesGoroutines(t *testing.T) {
	release, letGo := testwait.Gate(t)
	m := install(t, Options{
		OneshotOn: syscall.SIGUSR2,
		Logger:    slog.New(stuckLogger{slog.DiscardHandler, release}),
		Commands: []Command{{Name: "hold", Run: func(ctx context.Context, _ *Session, _ []string) error {
			<-ctx.Done()
			return nil
		}}},
	})
	t.Cleanup(letGo)
	require.NoError(t, m.Activate())
	inside := connect(t, m.Path())
	inside.expect(protocol.Prompt)
	inside.do("stderr on")
	inside.send("hold\n")
	eventually(t, func() bool { return m.window() == nil }, "the window to be closed")
	kill(t, syscall.SIGUSR2)

	trace := func() string {
		tr, err := stack.TakeListing(8 << 20)
		require.NoError(t, err)
		defer tr.Release()
		return string(tr.Text)
	}
	for _, function := range []string{"receive", "stayActive", "run", "read", "perform", "forward", "writeLog", "drain", "serveWindow"} {
		eventually(t, func() bool { return strings.Contains(trace(), ")."+function+"(") }, "a goroutine in %s", function)
	}
	const creator = "created by github.com/gomanhole/oneshot/internal/ours.Go"
	require.GreaterOrEqual(t, strings.Count(trace(), creator), 8, "they are all running")
	require.NotContains(t, dumped(t, DumpOptions{Groups: -1}), creator)
	require.NotContains(t, dumped(t, DumpOptions{Groups: -1, Full: true}), creator)
	profile, err := stack.Profile(func(string) bool { return false })
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(profile.Groups), "internal/ours.Go.func1", "a profile knows them too")
	require.NoError(t, inside.Close())
}
