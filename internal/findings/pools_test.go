package findings

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/conns"
	"github.com/gomanhole/oneshot/internal/stack"
)

// many returns n goroutines with the same stack. The first has the given id.
func many(n, id int, state string, frames ...string) (goroutines []string) {
	for i := range n {
		goroutines = append(goroutines, goroutine(id+i, state, frames...))
	}
	return goroutines
}

func TestAnExhaustedPoolIsNotANetworkWait(t *testing.T) {
	waiting := many(30, 100, "select", "database/sql.(*DB).conn", "database/sql.(*DB).QueryContext", "main.orders", "main.serve")
	found := final(listing(waiting...))
	require.Len(t, found, 1, "one fault is listed once")
	require.Equal(t, "30 of 30 goroutines of main.serve wait for a free connection of the pool of database/sql, in DB.QueryContext, and still 0s later", found[0].Title)
	require.Equal(t, []string{
		"at main.orders  /src/main.go:12",
		"the pool has as many connections as SetMaxOpenConns allows",
		"no goroutine uses a connection now, so they are probably held by Rows, Tx or Conn values that were not closed",
	}, found[0].Lines)

	using := many(2, 200, "IO wait", "net.(*conn).Read", "driver.(*conn).query", "database/sql.(*Tx).QueryContext", "main.report")
	further := many(1, 300, "chan receive", "main.lookUp", "main.orders", "main.serve")
	found = final(listing(slices.Concat(waiting, using, further)...))
	require.Len(t, found, 1)
	require.Equal(t, []string{
		"3 goroutines may hold connections:",
		"    2 at main.report  /src/main.go:13",
		"    1 at main.lookUp  /src/main.go:10",
	}, found[0].Lines[2:])
}

// TestWhoWaitsForAPoolWaitsForNoServer unless goroutines use the pool's connections: then
// it is these that may get no answer.
func TestWhoWaitsForAPoolWaitsForNoServer(t *testing.T) {
	waiting := many(30, 100, "select", "database/sql.(*DB).conn", "database/sql.(*DB).QueryContext", "main.orders", "main.serve")
	using := many(2, 200, "IO wait", "net.(*conn).Read", "driver.(*conn).query", "database/sql.(*Tx).QueryContext", "main.report")
	silent := []conns.Conn{{Remote: netip.MustParseAddrPort("10.0.0.3:5432"), Unacked: 30, Sent: time.Second, Received: time.Minute}}
	for _, test := range []struct {
		goroutines []string
		silent     bool
	}{{waiting, false}, {slices.Concat(waiting, using), true}} {
		s := listing(test.goroutines...)
		found := Find(&Evidence{Looks: []*stack.Snapshot{s, s}, Final: true, Conns: func() []conns.Conn { return silent }})
		require.Len(t, found, 1)
		require.Equal(t, test.silent, strings.Contains(strings.Join(found[0].Lines, "\n"), "no byte from 10.0.0.3:5432"), found[0].Lines)
	}
}

// In net/http, other goroutines open the connections. If there are enough of them, the
// requests wait for the network, and otherwise for the pool.
func TestRequestsThatWaitForAConnection(t *testing.T) {
	waiting := many(30, 100, "select", "net/http.(*Transport).getConn", "net/http.(*Transport).roundTrip", "net/http.(*Client).do", "main.fetch")
	for dialing, want := range map[int]string{
		0:  "30 of 30 goroutines of main.fetch wait for a free connection of the pool of net/http, in Client.do",
		3:  "30 of 30 goroutines of main.fetch wait for a free connection of the pool of net/http, in Client.do",
		30: "30 of 30 goroutines of main.fetch wait in HTTP Client.do",
	} {
		dials := many(dialing, 200, "IO wait", "net.(*netFD).connect", "net.(*Dialer).DialContext", "net/http.(*Transport).dialConn", "net/http.(*Transport).dialConnFor")
		found := final(listing(slices.Concat(waiting, dials)...))
		require.Len(t, found, 1, fmt.Sprint(dialing, " goroutines dial"))
		require.Contains(t, found[0].Title, want)
	}
}
