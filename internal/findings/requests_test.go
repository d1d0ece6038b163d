package findings

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/conns"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// request are the frames of a request to a server, without those of the handler.
func request(handler ...string) []string {
	return append(handler, "main.logged.func1", "net/http.HandlerFunc.ServeHTTP", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve")
}

var getFrames = []string{"net/http.(*persistConn).roundTrip", "net/http.(*Transport).roundTrip", "net/http.(*Client).Do"}

func get(handler ...string) []string { return slices.Concat(getFrames, handler) }

// Requests are counted by their handler, whatever is between it and the call, and whatever
// is wrapped around it.
func TestRequestsAreGroupedByTheirHandler(t *testing.T) {
	found := inModule(listing(slices.Concat(
		many(25, 100, "select", request(get("main.price", "main.orders", "net/http.HandlerFunc.ServeHTTP")...)...),
		many(15, 200, "select", request(get("main.stock", "main.orders", "net/http.HandlerFunc.ServeHTTP")...)...),
		many(2, 300, "sleep", request("time.Sleep", "main.orders", "net/http.HandlerFunc.ServeHTTP")...),
		many(9, 400, "sleep", request("time.Sleep", "main.other", "net/http.HandlerFunc.ServeHTTP")...),
	)...))
	require.Len(t, found, 1)
	require.Equal(t, "40 of 42 requests of main.orders wait in HTTP Client.Do, and still 0s later", found[0].Title)
	require.Equal(t, []string{"at main.price  /src/main.go:13", "15 at main.stock  /src/main.go:13"}, found[0].Lines)
}

// The functions that a handler passes to a library are not the entry.
func TestEntries(t *testing.T) {
	for _, test := range []struct {
		want   entry
		frames []string
	}{
		{entry{"main.orders", "request"}, request("main.orders.func1", "sync.(*Once).doSlow", "main.orders", "net/http.HandlerFunc.ServeHTTP")},
		{entry{"main.orders", "request"}, request("main.orders.func1", "github.com/jackc/pgx/v5.BeginFunc", "main.orders", "net/http.HandlerFunc.ServeHTTP")},
		{entry{"main.orders", "request"}, request("main.orders.func1", "golang.org/x/sync/singleflight.(*Group).doCall", "main.orders", "net/http.HandlerFunc.ServeHTTP")},
		{entry{"main.orders", "request"}, request("main.find", "main.orders", "github.com/go-chi/chi/v5.(*Mux).routeHTTP")},
		{entry{"main.(*server).Get", "request"}, []string{"main.(*server).Get", "example.com/pb._Orders_Get_Handler.func1", "main.logged", "example.com/pb._Orders_Get_Handler", "google.golang.org/grpc.(*Server).processUnaryRPC"}},
		{entry{"main.consume", "message"}, []string{"main.handle", "main.consume", "github.com/nats-io/nats%2ego.(*Conn).waitForMsgs"}},
		{entry{"main.loop", "goroutine"}, []string{"main.refresh", "main.loop"}},
		{entry{"", "request"}, []string{"net/http.(*conn).serve", "net/http.serverHandler.ServeHTTP"}},
	} {
		e := &Evidence{known: make(map[string]function)}
		var frames []stack.Frame
		e.Code = Code{Main: "example.com/service"}
		for _, f := range test.frames {
			frames = append(frames, stack.Frame{Function: f, File: "/src/main.go"})
		}
		require.Equal(t, test.want, e.entryOf(&stack.Group{Frames: frames}), strings.Join(test.frames, "\n"))
	}
	e := &Evidence{known: make(map[string]function)}
	generated := &stack.Group{Frames: []stack.Frame{
		{Function: "main.(*server).Get", File: "/src/main.go"},
		{Function: "main._Orders_Get_Handler.func1", File: "/src/orders_grpc.pb.go"},
		{Function: "main.logged", File: "/src/main.go"},
		{Function: "google.golang.org/grpc.(*Server).processUnaryRPC"},
	}}
	require.Equal(t, entry{"main.(*server).Get", "request"}, e.entryOf(generated), "generated code may be in the program's own packages")
}

// startedBy says that goroutines were started by others, one each.
func startedBy(goroutines []string, first int) []string {
	for i, text := range goroutines {
		goroutines[i] = strings.Replace(text, "in goroutine 1\n", "in goroutine "+strconv.Itoa(first+i)+"\n", 1)
	}
	return goroutines
}

func TestGoroutinesThatRequestsHaveStarted(t *testing.T) {
	waits := many(40, 100, "sync.WaitGroup.Wait", request("sync.(*WaitGroup).Wait", "golang.org/x/sync/errgroup.(*Group).Wait", "main.fanOut", "net/http.HandlerFunc.ServeHTTP")...)
	one := startedBy(many(40, 200, "select", get("main.price", "main.fanOut.func1", "golang.org/x/sync/errgroup.(*Group).Go.func1")...), 100)
	two := startedBy(many(40, 300, "select", get("main.price", "main.fanOut.func2", "golang.org/x/sync/errgroup.(*Group).Go.func1")...), 100)
	found := inModule(listing(slices.Concat(waits, one, two)...))
	require.Len(t, found, 1)
	require.Equal(t, "40 of 40 requests of main.fanOut wait in HTTP Client.Do, and still 0s later", found[0].Title)
	require.Equal(t, []string{"at main.price  /src/main.go:13", "in 80 goroutines that they have started"}, found[0].Lines)

	found = inModule(listing(slices.Concat(one, two)...))
	require.Len(t, found, 1, "they wait at the same place")
	require.Contains(t, found[0].Title, "40 of 40 goroutines of main.fanOut.func1", "nobody waits for them any more")
}

// Requests that wait for others are a finding if those get no answer.
func TestRequestsThatWaitForOtherRequests(t *testing.T) {
	acquire := []string{"golang.org/x/sync/semaphore.(*Weighted).Acquire", "main.limited", "net/http.HandlerFunc.ServeHTTP"}
	wait := many(40, 100, "select", request(acquire...)...)
	stuck := many(4, 200, "select", request(get("main.price", "main.limited", "net/http.HandlerFunc.ServeHTTP")...)...)
	works := many(4, 200, "sleep", request("time.Sleep", "main.limited", "net/http.HandlerFunc.ServeHTTP")...)
	found := inModule(listing(slices.Concat(wait, stuck)...))
	require.Len(t, found, 1)
	require.Equal(t, "40 of 44 requests of main.limited wait in semaphore Weighted.Acquire, and still 0s later", found[0].Title)
	require.Equal(t, []string{"at main.limited  /src/main.go:11", "they wait for 4 requests, which wait in HTTP Client.Do:", "    4 at main.price  /src/main.go:13"}, found[0].Lines)
	require.Empty(t, inModule(listing(slices.Concat(wait, works)...)), "it is a limit, and the requests go on")
	require.Empty(t, inModule(listing(wait...)), "it is not known what they wait for")

	jobs := func(state string) []string {
		return slices.Concat(many(40, 100, "select", "golang.org/x/sync/semaphore.(*Weighted).Acquire", "main.crawl"), many(4, 200, state, get("main.crawl")...))
	}
	require.Empty(t, inModule(listing(jobs("select")...)), "jobs may queue")
	require.Len(t, inModule(listing(jobs("select, 3 minutes")...)), 1, "but not for ever")

	shared := []string{"golang.org/x/sync/singleflight.(*Group).Do", "main.rate", "net/http.HandlerFunc.ServeHTTP"}
	found = inModule(listing(slices.Concat(
		many(39, 100, "sync.WaitGroup.Wait", request(append([]string{"sync.(*WaitGroup).Wait"}, shared...)...)...),
		many(1, 200, "select", request(get(append([]string{"main.rate.func1", "golang.org/x/sync/singleflight.(*Group).doCall"}, shared...)...)...)...),
	)...))
	require.Len(t, found, 1)
	require.Equal(t, "40 of 40 requests of main.rate wait in singleflight Group.Do, and still 0s later", found[0].Title)
	require.Equal(t, "they wait for 1 request, which waits in HTTP Client.Do:", found[0].Lines[1])
}

// A lock inside of a library is a detail of the wait for it.
func TestQueuesInsideALibrary(t *testing.T) {
	lock := []string{"sync.(*Mutex).Lock", "github.com/IBM/sarama.(*Broker).send", "github.com/IBM/sarama.(*Broker).GetMetadata"}
	holder := many(1, 300, "IO wait", "net.(*conn).Read", "github.com/IBM/sarama.(*Broker).readFull", "github.com/IBM/sarama.(*Broker).responseReceiver")
	found := inModule(listing(slices.Concat(many(40, 100, "sync.Mutex.Lock", append(lock, "main.orders")...), holder)...))
	require.Equal(t, "40 of 40 goroutines of main.orders wait in Kafka (sarama) Broker.GetMetadata, and still 0s later", found[0].Title)
	require.Len(t, found, 1)

	found = inModule(listing(slices.Concat(
		many(40, 100, "chan receive", "github.com/IBM/sarama.(*client).RefreshMetadata", "main.orders"),
		many(40, 200, "sync.Mutex.Lock", append(lock, "github.com/IBM/sarama.withRecover")...), holder,
	)...))
	require.Equal(t, "40 of 40 goroutines of main.orders wait in Kafka (sarama) RefreshMetadata, and still 0s later", found[0].Title)

	found = inModule(listing(slices.Concat(
		many(40, 100, "sync.Mutex.Lock", "sync.(*Mutex).Lock", "main.(*cache).get"), many(1, 300, "IO wait", "net.(*conn).Read", "main.(*cache).fill"),
		many(40, 200, "chan receive", "github.com/IBM/sarama.(*client).RefreshMetadata", "main.orders"),
	)...))
	require.Contains(t, found[0].Title, "main.cache", "the program's own locks come first")
}

func TestSilentServers(t *testing.T) {
	at := netip.MustParseAddrPort
	conn := func(remote string, sent, received time.Duration) conns.Conn {
		return conns.Conn{Local: at("10.0.0.1:40000"), Remote: at(remote), Sent: sent, Received: received}
	}
	asks := conn("10.0.0.3:50051", 42*time.Second, 43*time.Second)
	idle := conn("10.0.0.4:6379", 42*time.Second, 41*time.Second)
	unknown := conn("10.0.0.5:5432", 9*time.Second, 9*time.Second)
	dead := conn("10.0.0.6:80", 90*time.Second, 120*time.Second)
	dead.Unacked = 517
	dials := conn("10.0.0.7:80", 0, 0)
	dials.Connecting = true
	client := conn("10.0.0.8:33333", time.Second, time.Hour)
	client.Accepted = true
	s := listing(many(40, 100, "select", get("main.orders")...)...)
	lines := func(all ...conns.Conn) []string {
		e := &Evidence{Looks: []*stack.Snapshot{s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Conns: func() []conns.Conn { return all }}
		return Find(e)[0].Lines[1:]
	}
	require.Equal(t, []string{"no byte from 10.0.0.3:50051 for 43s, on 2 connections", "no byte from 10.0.0.6:80 for 2m0s, on 1 connection; its host has not acknowledged 517 bytes"},
		lines(dead, idle, asks, asks, unknown, client))
	require.Equal(t, []string{"no byte from 10.0.0.5:5432 for 9s, on 1 connection"}, lines(idle, unknown, client), "only if there is none that is sure")
	require.Equal(t, []string{"10.0.0.7:80 has not answered 1 attempt to connect"}, lines(dials))
	require.Empty(t, lines(idle, client))
}
