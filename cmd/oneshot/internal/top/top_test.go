//go:build linux

package top

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/vitals"
)

const stacksText = `
What stands out:
1. 60 goroutines queue for a lock in main.sessions, for up to 24 minutes
     60 at main.(*sessions).user  examples/trouble/main.go:80
     to see more: goroutine 19
2. 24990 goroutines, 99% of all, wait in chan send at one place

25103 goroutines in 7 groups by identical stacks, 4 of the manhole left out:

24990 (99%) chan send, 0 to 24 minutes
    goroutines 10 11 12 13 and 24982 more
    example.com/lib.Send  lib/send.go:1
    main.quote.func1  main.go:63
    created by main.quote  main.go:61

59 sync.Mutex.Lock (leaked), 24 minutes {"tenant":"acme"}
    goroutines 20 21
    sync.(*Mutex).Lock (3 library frames)
    created by main.run  main.go:42

3 running
    (where it is cannot be read while it runs)

4 groups more with 4 goroutines: stacks -n 0

`

func TestParseStacks(t *testing.T) {
	s := ParseStacks(stacksText)
	require.Equal(t, []string{
		"60 goroutines queue for a lock in main.sessions, for up to 24 minutes",
		"24990 goroutines, 99% of all, wait in chan send at one place",
	}, s.Findings)
	require.Equal(t, "25103 goroutines in 7 groups by identical stacks, 4 of the manhole left out", s.Heading)
	require.Equal(t, []Group{
		{24990, "chan send", "main.quote.func1 main.go:63"},
		{59, "sync.Mutex.Lock (leaked)", "sync.(*Mutex).Lock (3 library frames)"},
		{3, "running", "(where it is cannot be read while it runs)"},
	}, s.Groups)
	require.True(t, s.More)
}

func TestParseMetrics(t *testing.T) {
	m := ParseMetrics("/sched/goroutines:goroutines      397\n/gc/heap/goal:bytes  4.0 MiB\n47 counters at 0 left out: metrics /godebug\n")
	require.Equal(t, map[string]string{"/sched/goroutines:goroutines": "397", "/gc/heap/goal:bytes": "4.0 MiB"}, m)
}

func sample(at time.Time, groups ...Group) Sample {
	return Sample{At: at, Vitals: vitals.Sample{At: at, Usage: vitals.Usage{At: at}, Procs: 2, Threads: 9}, Stacks: Stacks{Groups: groups}}
}

func TestGroupsThatGrowComeFirst(t *testing.T) {
	s := NewScreen("server, pid 7")
	began := time.Unix(1000, 0)
	s.Add(sample(began, Group{100, "select", "main.a"}, Group{3, "chan send", "main.b"}, Group{1, "sleep", "main.c"}, Group{2, "sleep", "main.c"}))
	require.NotContains(t, strings.Join(s.Draw(80, 24), "\n"), "+", "nothing has grown yet")
	s.Add(sample(began.Add(time.Second), Group{90, "select", "main.a"}, Group{5, "chan send", "main.b"}, Group{9, "IO wait", "main.d"}))
	lines := s.Draw(80, 24)
	rows := lines[len(lines)-3:]
	require.Equal(t, []string{
		"       9       +9  IO wait                main.d",
		"       5       +2  chan send              main.b",
		"      90      -10  select                 main.a",
	}, rows, "%q", lines)
}

// TestAGroupThatWasNotShown may have been there already, as large as the smallest one that
// was shown.
func TestAGroupThatWasNotShown(t *testing.T) {
	s := NewScreen("server, pid 7")
	began := time.Unix(1000, 0)
	first := sample(began, Group{100, "select", "main.a"}, Group{30, "select", "main.b"})
	first.Stacks.More = true
	s.Add(first)
	s.Add(sample(began.Add(time.Second), Group{100, "select", "main.a"}, Group{31, "select", "main.c"}, Group{20, "select", "main.d"}))
	lines := s.Draw(80, 24)
	require.Equal(t, []string{
		"      31       +1  select                 main.c",
		"     100           select                 main.a",
		"      20           select                 main.d",
	}, lines[len(lines)-3:])
	s.Add(sample(began.Add(2*time.Second), Group{100, "select", "main.a"}, Group{7, "select", "main.e"}))
	lines = s.Draw(80, 24)
	require.Equal(t, "       7       +7  select                 main.e", lines[len(lines)-2], "the look before has shown all groups")
}

func TestTheScreenFitsAndIsEscaped(t *testing.T) {
	s := NewScreen("evil\x1b[2J\nname, pid 7")
	now := sample(time.Unix(1000, 0), Group{1, "sleep\x1b]0;x\a", strings.Repeat("long ", 100)})
	now.Stacks.Findings = []string{"a\nb\x1b[31m"}
	now.Metrics = map[string]string{"/sched/goroutines:goroutines": "5\x1b[0m"}
	for range 60 {
		now.Stacks.Groups = append(now.Stacks.Groups, Group{len(now.Stacks.Groups), "x", "y" + string(rune('a'+len(now.Stacks.Groups)%26))})
	}
	s.Add(now)
	s.Add(now)
	lines := s.Draw(40, 12)
	require.Len(t, lines, 12)
	for _, line := range lines {
		require.LessOrEqual(t, len(line), 40)
		require.NotContains(t, line, "\x1b")
		require.NotContains(t, line, "\n")
	}
	now.Failed = errors.New("no answer\x1b")
	s.Add(now)
	require.Contains(t, strings.Join(s.Draw(80, 24), "\n"), `the goroutines are not known: no answer\x1b`)
}

func TestTheCollectorsLine(t *testing.T) {
	s := NewScreen("server")
	a, b := sample(time.Unix(1000, 0)), sample(time.Unix(1002, 0))
	a.Metrics = map[string]string{"/gc/cycles/total:gc-cycles": "7", "/cpu/classes/gc/total:cpu-seconds": "1.5s", "/sched/goroutines-created:goroutines": "10"}
	b.Metrics = map[string]string{
		"/gc/cycles/total:gc-cycles": "9", "/cpu/classes/gc/total:cpu-seconds": "2.5s", "/memory/classes/heap/objects:bytes": "4.0 MiB",
		"/gc/heap/goal:bytes": "8.0 MiB", "/gc/gomemlimit:bytes": "none", "/sched/goroutines-created:goroutines": "14",
		"/sched/goroutines:goroutines": "5", "/sched/goroutines/running:goroutines": "1", "/sched/goroutines/waiting:goroutines": "4",
	}
	s.Add(a)
	s.Add(b)
	text := strings.Join(s.Draw(200, 24), "\n")
	require.Contains(t, text, "heap 4.0 MiB, the next collection at 8.0 MiB, limit none; 9 collections (+2), 0.50 of the CPUs\n")
	require.Contains(t, text, "goroutines 5: 1 running, 4 waiting; 4 started since the look before\n")
}

func FuzzParse(f *testing.F) {
	f.Add(stacksText)
	f.Fuzz(func(t *testing.T, text string) {
		s := NewScreen(text)
		now := sample(time.Unix(1000, 0))
		now.Stacks, now.Metrics = ParseStacks(text), ParseMetrics(text)
		s.Add(now)
		for _, line := range s.Draw(80, 24) {
			require.NotContains(t, line, "\x1b")
			require.NotContains(t, line, "\n")
		}
	})
}
