package findings

import (
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// pool is a pool of connections, of the library with the name. The names of functions are without the major version of
// the module.
type pool struct {
	name    string
	acquire string   // the function in which goroutines wait for a free connection
	above   string   // the only function that it may call for that; "" for none
	limit   string   // what limits the number of connections
	dials   string   // the function of a separate goroutine that opens connections; "" if the waiting goroutine opens its own
	uses    []string // prefixes of the functions that use a connection
	held    string   // what holds a connection while no goroutine uses it
}

var pools = []pool{
	{
		name:    "database/sql",
		acquire: "database/sql.(*DB).conn",
		limit:   "SetMaxOpenConns",
		uses:    []string{"database/sql.(*Rows).", "database/sql.(*Stmt).", "database/sql.(*Tx).", "database/sql.(*Conn).", "database/sql.(*DB)."},
		held:    "Rows, Tx or Conn values that were not closed",
	},
	{
		name:    "net/http",
		acquire: "net/http.(*Transport).getConn",
		limit:   "MaxConnsPerHost",
		dials:   "net/http.(*Transport).dialConnFor",
		uses:    []string{"net/http.(*persistConn).roundTrip", "net/http.(*bodyEOFSignal)."},
		held:    "responses whose Body was not closed",
	},
	{
		name:    "Redis",
		acquire: "github.com/redis/go-redis/internal/pool.(*ConnPool).waitTurn",
		above:   "github.com/redis/go-redis/internal.(*FastSemaphore).Acquire",
		limit:   "PoolSize",
		uses:    []string{"github.com/redis/go-redis.(*baseClient)."},
		held:    "Conn or PubSub values that were not closed",
	},
	{
		name:    "PostgreSQL (pgx)",
		acquire: "github.com/jackc/puddle.(*Pool[...]).acquire",
		above:   "golang.org/x/sync/semaphore.(*Weighted).Acquire",
		limit:   "MaxConns",
		uses:    []string{"github.com/jackc/pgx.", "github.com/jackc/pgx/pgxpool."},
		held:    "Rows, Tx or Conn values that were not closed or released",
	},
}

// poolOf returns the pool in which the goroutines wait for a connection, or nil. A
// goroutine that is opening a connection itself has more frames above, and does not
// match.
func poolOf(g *stack.Group) *pool {
	if g.State != "select" || len(g.Frames) < 2 {
		return nil
	}
	first, second := unversioned(g.Frames[0].Function), unversioned(g.Frames[1].Function)
	for i := range pools {
		if p := &pools[i]; first == p.acquire || p.above != "" && first == p.above && second == p.acquire {
			return p
		}
	}
	return nil
}

// exhausted returns the pool in which the goroutines wait for a free connection, or
// nil. It also returns nil if other goroutines are opening connections for them, since
// then they wait for the network.
func (e *Evidence) exhausted(g *stack.Group) *pool {
	p := poolOf(g)
	if p == nil || p.dials == "" {
		return p
	}
	dialing, known := e.dialing[p]
	if !known { // once, and not for each group
		for i := range e.first().Groups {
			if other := &e.first().Groups[i]; contains(other.Frames, p.dials) {
				dialing += other.Count
			}
		}
		e.dialing[p] = dialing
	}
	if 2*dialing >= g.Count {
		return nil
	}
	return p
}

// poolUsers returns lines that show the goroutines which may hold the connections of a
// pool, and whether there are any. function is the program's function that waits for one.
// Other goroutines in the same function may have got one already.
func (e *Evidence) poolUsers(p *pool, function string) (lines []string, used bool) {
	var users []*stack.Group
	n := 0
	known := make(map[string]bool) // of functions, whether they use a connection
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		if poolOf(g) == p {
			continue
		}
		uses := slices.ContainsFunc(g.Frames, func(f stack.Frame) bool {
			is, ok := known[f.Function]
			if !ok {
				name := unversioned(f.Function)
				is = f.Function == function || slices.ContainsFunc(p.uses, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
				known[f.Function] = is
			}
			return is
		})
		if at := e.site(g.Frames); uses && at >= 0 && e.rank(g.Frames[at]) >= rankProgram {
			users = append(users, g)
			n += g.Count
		}
	}
	if n == 0 {
		return []string{"no goroutine uses a connection now, so they are probably held by " + p.held}, false
	}
	lines = []string{plaintext.Plural(n, "goroutine") + " may hold connections:"}
	for _, line := range e.sites(users, 3) {
		lines = append(lines, "    "+line)
	}
	return lines, true
}
