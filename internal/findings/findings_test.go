package findings

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// Programs with faults test most of the rules (package integration). The tests here
// are about waits of minutes, and about findings that must not be reported.

// listing makes a snapshot of goroutines from the text of runtime.Stack.
func listing(goroutines ...string) *stack.Snapshot {
	t := stack.Listing{Text: []byte(strings.Join(goroutines, "\n\n"))}
	return t.Group(func(string) bool { return false })
}

func goroutine(id int, state string, frames ...string) string {
	text := fmt.Sprintf("goroutine %d [%s]:\n", id, state)
	for i, f := range frames {
		text += fmt.Sprintf("%s(0xc000%d)\n\t/src/main.go:%d +0x1d\n", f, id, 10+i)
	}
	return text + "created by main.start in goroutine 1\n\t/src/main.go:5 +0x1d"
}

// final returns the findings in a program that is the same at three looks.
func final(s *stack.Snapshot) []Finding {
	return Find(&Evidence{Looks: []*stack.Snapshot{s, s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}})
}

func waitingWorkers(state string, minutes ...int) (goroutines []string) {
	for i, m := range minutes {
		s := state
		if m > 0 {
			s += fmt.Sprintf(", %d minutes", m)
		}
		goroutines = append(goroutines, goroutine(10+i, s, "sync.(*Cond).Wait", "main.(*queue).pop", "main.work"))
	}
	return goroutines
}

// TestLeakProvedByCollector shows that one goroutine with the mark of Go 1.27 in
// its state is enough, and that goroutines with and without the mark are one place.
func TestLeakProvedByCollector(t *testing.T) {
	healthy := waitingWorkers("sync.Cond.Wait", make([]int, 40)...)
	found := final(listing(append(healthy, goroutine(90, "chan receive (leaked)", "main.fetch.func1"))...))
	require.Len(t, found, 1)
	require.Equal(t, "proved: 1 goroutine can never continue, because nothing can reach what it waits for", found[0].Title)
	require.Equal(t, []string{"1 in chan receive at main.fetch.func1  /src/main.go:10", "    started at main.start  /src/main.go:5"}, found[0].Lines)

	var senders []string
	for i := range 60 {
		state := "chan send"
		if i%2 == 0 {
			state = "chan send (leaked)"
		}
		senders = append(senders, goroutine(100+i, state, "main.quote.func1"))
	}
	found = final(listing(append(healthy, senders...)...))
	require.Len(t, found, 1)
	require.Equal(t, "proved: 30 goroutines can never continue, because nothing can reach what they wait for", found[0].Title)
	require.Equal(t, []string{"30 of 60 in chan send at main.quote.func1  /src/main.go:10", "    started at main.start  /src/main.go:5"}, found[0].Lines)
}

func TestWorkerThatHasWaitedForMinutes(t *testing.T) {
	found := final(listing(waitingWorkers("sync.Cond.Wait", 0, 0, 12, 0, 1, 0, 0, 0)...))
	require.Empty(t, found, "they are one group, and we do not know whether the others go on")

	goroutines := waitingWorkers("sync.Cond.Wait", 0, 0, 0, 1, 0, 0, 0)
	goroutines = append(goroutines, goroutine(30, "chan receive, 12 minutes", "main.(*queue).lookUp", "main.work"))
	found = final(listing(goroutines...))
	require.Len(t, found, 1)
	require.Contains(t, found[0].Title, "goroutine 30 waits in chan receive")
	require.Contains(t, found[0].Title, "while the 7 others that run main.work go on")
	require.Equal(t, "at main.(*queue).lookUp  /src/main.go:10", found[0].Lines[0])

	all := append(waitingWorkers("sync.Cond.Wait", 12, 12, 12, 11, 12, 12, 13),
		goroutine(30, "chan receive, 12 minutes", "main.(*queue).lookUp", "main.work"))
	require.Empty(t, final(listing(all...)), "all have waited for the same time")
}

// A leak does not become less of one when the program has more other goroutines.
func TestSendersThatHaveWaitedForMinutes(t *testing.T) {
	healthy := func() (all []string) {
		for i := range 2500 {
			all = append(all, goroutine(1000+i, "sleep", "time.Sleep", "main.work"))
		}
		return all
	}
	senders := func(n int, state string) (all []string) {
		for i := range n {
			all = append(all, goroutine(100+i, state, "main.quote.func1"))
		}
		return all
	}
	found := final(listing(append(healthy(), senders(30, "chan send, 3 minutes")...)...))
	require.Len(t, found, 1)
	require.Equal(t, "30 goroutines, 1% of all, wait in chan send at one place, for up to 3 minutes", found[0].Title)
	require.Contains(t, found[0].Lines, "30 of them have waited for 2 minutes or longer")
	require.Equal(t, "stacks -state send", found[0].Next, "a comparison would not show what does not grow")
	require.Empty(t, final(listing(append(healthy(), senders(30, "chan send, 1 minutes")...)...)), "they may go on")
	require.Empty(t, final(listing(append(healthy(), senders(10, "chan send, 3 minutes")...)...)), "they are few")
	parted := append(senders(15, "chan send, 3 minutes"), goroutine(90, "chan send", "main.quote.func1"))
	require.Empty(t, final(listing(append(healthy(), parted...)...)))
}

func TestRequestThatHasWaitedForMinutes(t *testing.T) {
	request := func(state string) *stack.Snapshot {
		return listing(goroutine(7, state, "main.(*orders).ServeHTTP", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve"))
	}
	found := final(request("chan receive, 3 minutes"))
	require.Len(t, found, 1)
	require.Equal(t, "1 HTTP request has waited in chan receive for up to 3 minutes", found[0].Title)
	require.Empty(t, final(request("chan receive")))
	require.Empty(t, final(request("select, 3 minutes")), "it may be a stream of events")
}

func TestHolderBehindAnotherLock(t *testing.T) {
	lock := "sync.(*Mutex).Lock"
	found := final(listing(
		goroutine(1, "sync.Mutex.Lock", lock, "main.(*a).get", "main.serve"),
		goroutine(2, "sync.Mutex.Lock", lock, "main.(*b).get", "main.(*a).fill", "main.serve"),
		goroutine(3, "IO wait", "net.(*conn).Read", "main.(*b).load", "main.serve"),
	))
	require.Len(t, found, 2, "a chain is no deadlock")
	for _, f := range found {
		require.Contains(t, f.Title, "waits for a lock in main.")
	}
	found = final(listing(
		goroutine(1, "sync.Mutex.Lock", lock, "main.(*a).get", "main.(*b).fill", "main.serve"),
		goroutine(2, "sync.Mutex.Lock", lock, "main.(*b).get", "main.(*a).fill", "main.serve"),
	))
	require.Len(t, found, 1)
	require.Contains(t, found[0].Title, "possible deadlock: 2 goroutines queue for locks")
	require.Contains(t, strings.Join(found[0].Lines, "\n"), "main.(*b).get  /src/main.go:11")
}

// looks returns the findings in a program that is different at each look.
func looks(snapshots ...*stack.Snapshot) []Finding {
	return Find(&Evidence{Looks: snapshots, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}})
}

func TestLockThatChangesHolderIsNoDeadlock(t *testing.T) {
	waiter := func(id int) string {
		return goroutine(id, "sync.Mutex.Lock", "sync.(*Mutex).Lock", "main.(*wrapped).Lock", "main.work")
	}
	worker := func(id int) string { return goroutine(id, "sleep", "time.Sleep", "main.work") }
	require.Empty(t, looks(listing(waiter(1), waiter(2), worker(3)), listing(waiter(1), waiter(3), worker(2))),
		"there is a holder, although it is not inside the type's methods")
	require.Len(t, looks(listing(waiter(1), waiter(2)), listing(waiter(1), waiter(2), waiter(3))), 1)
}

func TestServerOfSilentClients(t *testing.T) {
	created := func(text, by string, parent int) string {
		return strings.Replace(text, "created by main.start in goroutine 1", fmt.Sprintf("created by %s in goroutine %d", by, parent), 1)
	}
	goroutines := []string{goroutine(1, "IO wait", "net.(*netFD).accept", "net.(*TCPListener).Accept", "main.serve")}
	for i := range 30 {
		goroutines = append(goroutines,
			created(goroutine(100+i, "chan receive", "main.handle"), "main.serve", 1),
			created(goroutine(200+i, "IO wait", "net.(*conn).Read", "main.readLoop"), "main.handle", 100+i))
	}
	require.Empty(t, final(listing(goroutines...)))
}

func TestRulesStopAtTheDeadline(t *testing.T) {
	var goroutines []string
	for i := range 6000 {
		goroutines = append(goroutines, goroutine(i, "sync.Mutex.Lock", "sync.(*Mutex).Lock", fmt.Sprintf("main.f%d", i)))
	}
	s := listing(goroutines...)
	e := &Evidence{Looks: []*stack.Snapshot{s, s}, Deadline: time.Now().Add(-time.Second)}
	Find(e)
	require.True(t, e.Cut())
}

// TestNothingCanRunAgain only where all goroutines stay blocked, and nothing else may wake
// one of them.
func TestNothingCanRunAgain(t *testing.T) {
	receive, group := goroutine(7, "chan receive", "main.receive"), goroutine(1, "sync.WaitGroup.Wait", "sync.(*WaitGroup).Wait", "main.main")
	signals := goroutine(9, "syscall", "os/signal.signal_recv", "os/signal.loop")
	dead := listing(receive, group, signals)
	no, yes := func(bool) bool { return false }, func(bool) bool { return true }
	for _, test := range []struct {
		name   string
		looks  []*stack.Snapshot
		wakers func(bool) bool
		found  bool
	}{
		{"all are blocked", []*stack.Snapshot{dead, dead}, no, true},
		{"the first look", []*stack.Snapshot{dead}, no, true},
		{"there is a timer", []*stack.Snapshot{dead, dead}, yes, false},
		{"it is not known", []*stack.Snapshot{dead, dead}, nil, false},
		{"one sleeps", []*stack.Snapshot{listing(receive, group, goroutine(8, "sleep", "time.Sleep", "main.work"))}, no, false},
		{"one reads", []*stack.Snapshot{listing(receive, goroutine(8, "IO wait", "internal/poll.(*FD).Read", "main.work"))}, no, false},
		{"one is in a system call", []*stack.Snapshot{listing(receive, goroutine(8, "syscall", "syscall.Syscall", "main.work"))}, no, false},
		{"one runs", []*stack.Snapshot{listing(receive, goroutine(8, "running", "main.work"))}, no, false},
		{"one was not there before", []*stack.Snapshot{dead, listing(receive, group, goroutine(8, "chan send", "main.work"))}, no, false},
		{"one has gone", []*stack.Snapshot{dead, listing(group)}, no, false},
		{"there is none but that of the signals", []*stack.Snapshot{listing(signals)}, no, false},
	} {
		found := Find(&Evidence{Looks: test.looks, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Wakers: test.wakers})
		got := len(found) > 0 && strings.HasPrefix(found[0].Title, "nothing in this program can run again: all 2 goroutines wait for each other")
		require.Equal(t, test.found, got, "%s: %v", test.name, found)
	}
}

func TestNumberOfFindingsIsLimited(t *testing.T) {
	var goroutines []string
	for i := range 9 {
		goroutines = append(goroutines, goroutine(i, "sync.Mutex.Lock", "sync.(*Mutex).Lock", fmt.Sprintf("main.(*t%d).get", i), "main.f"),
			goroutine(100+i, "sleep", "time.Sleep", fmt.Sprintf("main.(*t%d).get", i), "main.f"))
	}
	require.Len(t, final(listing(goroutines...)), MaxFindings)
}

func TestPanicInARuleIsAFinding(t *testing.T) {
	found := try("broken", func(*Evidence) []Finding { panic("oops") }, nil)
	require.Equal(t, "a rule of the manhole itself failed: broken: oops", found[0].Title)
}

func TestRanks(t *testing.T) {
	c := Code{Main: "example.com/shop", Deps: map[string]bool{"github.com/lib/pq": true, "plain": true}, Not: func(pkg string) bool { return pkg == "example.com/oneshot" }}
	for pkg, rank := range map[string]int{
		"main": rankProgram, "example.com/shop": rankProgram, "example.com/shop/cart": rankProgram,
		"example.com/shopping": rankModule, "github.com/lib/pq/oid": rankModule, "plain/x": rankModule,
		"net/http": rankStandard, "internal/poll": rankStandard, "example.com/oneshot": rankStandard,
	} {
		require.Equal(t, rank, c.rank(pkg), pkg)
	}
	require.Equal(t, rankProgram, Code{}.rank("example.com/x"), "without build information, everything outside the standard library is the program's")
}
