package findings

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/conns"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// dialed makes goroutines that read from connections which main has opened, and main.
func dialed(n int, frames ...string) []string {
	all := []string{strings.Split(goroutine(1, "select", "main.main"), "\ncreated by")[0]}
	return append(all, many(n, 100, "IO wait", append([]string{"net.(*conn).Read"}, frames...)...)...)
}

// A goroutine that waits for the next message, of which nobody knows when it comes, is
// healthy, also if the program has opened the connection itself.
func TestReadsWithoutAQuestionAreNotFindings(t *testing.T) {
	s := listing(dialed(40, "main.hear")...)
	open, later := conns.Conn{Sent: time.Second, Received: time.Minute}, conns.Conn{Sent: time.Minute, Received: time.Second}
	accepted, pong := open, conns.Conn{Sent: time.Minute, Received: time.Minute + reaction/2}
	accepted.Accepted = true
	for name, test := range map[string]struct {
		others conns.Conn
		n      int
		found  int
	}{
		"a question each":               {later, 40, 1},
		"new connections":               {conns.Conn{Empty: true}, 39, 1},
		"one has an answer":             {later, 39, 0},
		"one has sent a pong":           {pong, 39, 0},
		"others have asked the program": {accepted, 0, 0},
	} {
		all := append(slices.Repeat([]conns.Conn{open}, test.n), slices.Repeat([]conns.Conn{test.others}, 40)...)
		e := &Evidence{
			Looks: []*stack.Snapshot{s, s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Code: Code{Main: "example.com/service"},
			Conns: func() []conns.Conn { return all },
		}
		require.Len(t, Find(e), test.found, name)
	}
	websocket := dialed(40, "bufio.(*Reader).Peek", "github.com/gorilla/websocket.(*Conn).advanceFrame", "github.com/gorilla/websocket.(*Conn).NextReader", "main.hear")
	require.Empty(t, inModule(listing(websocket...)), "where the kernel cannot be asked")
}

// A write to a socket ends with the same system call as a write to a file.
func TestWriteToASocketIsNoFinding(t *testing.T) {
	write := func(through ...string) *stack.Snapshot {
		frames := append([]string{"syscall.Syscall", "syscall.write", "syscall.Write", "internal/poll.(*FD).Write"}, through...)
		return listing(goroutine(7, "syscall", append(frames, "main.send")...))
	}
	require.Empty(t, final(write("net.(*netFD).Write", "net.(*conn).Write")))
	require.Len(t, final(write("os.(*File).Write")), 1)
}

// ranBetween returns two looks at the same goroutines. Those in ran have run in between.
func ranBetween(first *stack.Snapshot, ran ...uint64) (looks []*stack.Snapshot) {
	for n := range 2 {
		look := *first
		look.Groups = nil
		for _, g := range first.Groups {
			g.Members = append([]stack.Goroutine(nil), g.Members...)
			for i := range g.Members {
				g.Members[i].Turns = 7
				for _, id := range ran {
					if id == g.Members[i].ID {
						g.Members[i].Turns += uint16(n)
					}
				}
			}
			look.Groups = append(look.Groups, g)
		}
		looks = append(looks, &look)
	}
	return looks
}

// Goroutines that are at the same place at each look may have run in between.
func TestGoroutinesThatRunAreNotStuck(t *testing.T) {
	frames := []string{"net/http.(*persistConn).roundTrip", "net/http.(*Client).do", "main.ask"}
	s := listing(many(12, 100, "select", frames...)...)
	require.Len(t, looks(ranBetween(s)...), 1)
	require.Len(t, looks(ranBetween(s, 100)...), 1)
	require.Empty(t, looks(ranBetween(s, 100, 101, 102, 103)...))
}

// The senders of a pool wait for whoever takes their results, which may be slow.
func TestSlowReceiverOfAPoolIsNoLeak(t *testing.T) {
	senders := many(40, 100, "chan send", "main.work")
	require.Len(t, looks(ranBetween(listing(senders...))...), 1)
	require.Empty(t, looks(ranBetween(listing(senders...), 107)...))
	ready := goroutine(7, "runnable", "main.take")
	starved := listing(append(senders, ready)...)
	require.Empty(t, looks(ranBetween(starved)...), "a goroutine that is ready has not run")
	require.Len(t, looks(ranBetween(starved, 7)...), 1)
}

// A program without a CPU has goroutines that are ready and do not run. Nobody knows then
// whether the others go on.
func TestAProgramWithoutACPU(t *testing.T) {
	lock := "sync.(*Mutex).Lock"
	for name, state := range map[string]string{"waits for a CPU": "runnable", "seems to run": "running"} {
		s := listing(append(many(12, 100, "sync.Mutex.Lock", lock, "main.(*cache).get", "main.serve"),
			goroutine(7, state, "main.fill", "main.(*cache).load", "main.refresh"))...)
		require.Len(t, looks(ranBetween(s, 7)...), 1, name)
		require.Empty(t, looks(ranBetween(s)...), name)
	}
	old := listing(append(many(12, 100, "sync.Mutex.Lock, 3 minutes", lock, "main.(*cache).get", "main.serve"), goroutine(7, "runnable", "main.refresh"))...)
	require.Len(t, looks(ranBetween(old)...), 1)
}

// One function may start all goroutines of a program. They have different tasks.
func TestGoroutinesOfALauncherAreNoWorkers(t *testing.T) {
	program := func(entry string, waiting ...string) (all []*stack.Snapshot) {
		for range 3 {
			s := many(12, 100, "runnable", "main.(*conn).read", entry)
			all = append(all, listing(append(s, goroutine(7, "select", append(waiting, entry)...))...))
		}
		return all
	}
	require.Empty(t, looks(program("main.(*server).start.func1", "main.(*server).expire")...))
	require.Len(t, looks(program("main.work", "main.(*server).expire")...), 1)
	require.Len(t, looks(program("main.(*server).start.func1", "main.(*conn).wait", "main.(*conn).read")...), 1)
}

// A goroutine that has just got something from the network is ready to run, and in a busy
// program at every look.
func TestReadersOfABusyProgramAreNoLoop(t *testing.T) {
	spinning := func(innermost string) []Finding {
		var all []*stack.Snapshot
		for range looksForSpinning {
			all = append(all, listing(many(12, 100, "runnable", innermost, "main.receive")...))
		}
		e := &Evidence{Looks: all, Final: true}
		e.After.Limit, e.After.Procs = vitals.NoLimit, 2
		e.After.At = e.Before.At.Add(time.Second)
		e.After.Usage.User, e.After.Usage.At = time.Second, e.Before.Usage.At.Add(time.Second)
		return Find(e)
	}
	require.Len(t, spinning("main.sum"), 1)
	require.Empty(t, spinning("internal/poll.(*pollDesc).wait"))
}
