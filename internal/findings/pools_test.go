package findings

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// many returns n goroutines with the same stack. The first has the given id.
func many(n, id int, state string, frames ...string) (goroutines []string) {
	for i := range n {
		goroutines = append(goroutines, goroutine(id+i, state, frames...))
	}
	return goroutines
}

func TestAnExhaustedPoolIsNotTheNetwork(t *testing.T) {
	waiting := many(30, 100, "select", "database/sql.(*DB).conn", "database/sql.(*DB).QueryContext", "main.orders", "main.serve")
	found := final(listing(waiting...))
	require.Len(t, found, 1, "one fault is listed once")
	require.Equal(t, "30 goroutines wait for a free connection of a pool, in database/sql.(*DB).QueryContext, and still 0s later", found[0].Title)
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

// In net/http, another goroutine opens the connection. So it depends on the number of
// those goroutines what the requests wait for.
func TestRequestsForWhichNobodyDials(t *testing.T) {
	waiting := many(30, 100, "select", "net/http.(*Transport).getConn", "net/http.(*Transport).roundTrip", "net/http.(*Client).do", "main.fetch")
	for dialing, want := range map[int]string{
		0:  "30 goroutines wait for a free connection of a pool, in net/http.(*Client).do",
		3:  "30 goroutines wait for a free connection of a pool, in net/http.(*Client).do",
		30: "30 goroutines wait for answers from the network, in net/http.(*Client).do",
	} {
		dials := many(dialing, 200, "IO wait", "net.(*netFD).connect", "net.(*Dialer).DialContext", "net/http.(*Transport).dialConn", "net/http.(*Transport).dialConnFor")
		found := final(listing(slices.Concat(waiting, dials)...))
		require.Len(t, found, 1, fmt.Sprint(dialing, " goroutines dial"))
		require.Contains(t, found[0].Title, want)
	}
}
