package findings

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// pool is a pool of connections. The names of functions are without the major version of
// the module.
type pool struct {
	acquire string   // the function in which goroutines wait for a free connection
	above   string   // the only function that it may call for that; "" for none
	limit   string   // what limits the number of connections
	dials   string   // the function of a goroutine that opens a connection for one that waits; "" if it does so itself
	uses    []string // how the names of functions begin that use a connection
	held    string   // what holds a connection while no goroutine uses it
}

var pools = []pool{
	{
		acquire: "database/sql.(*DB).conn",
		limit:   "SetMaxOpenConns",
		uses:    []string{"database/sql.(*Rows).", "database/sql.(*Stmt).", "database/sql.(*Tx).", "database/sql.(*Conn).", "database/sql.(*DB)."},
		held:    "Rows, Tx or Conn values that were not closed",
	},
	{
		acquire: "net/http.(*Transport).getConn",
		limit:   "MaxConnsPerHost",
		dials:   "net/http.(*Transport).dialConnFor",
		uses:    []string{"net/http.(*persistConn).roundTrip", "net/http.(*bodyEOFSignal)."},
		held:    "responses whose Body was not closed",
	},
	{
		acquire: "github.com/redis/go-redis/internal/pool.(*ConnPool).waitTurn",
		above:   "github.com/redis/go-redis/internal.(*FastSemaphore).Acquire",
		limit:   "PoolSize",
		uses:    []string{"github.com/redis/go-redis.(*baseClient)."},
		held:    "Conn or PubSub values that were not closed",
	},
	{
		acquire: "github.com/jackc/puddle.(*Pool[...]).acquire",
		above:   "golang.org/x/sync/semaphore.(*Weighted).Acquire",
		limit:   "MaxConns",
		uses:    []string{"github.com/jackc/pgx.", "github.com/jackc/pgx/pgxpool."},
		held:    "Rows, Tx or Conn values that were not closed or released",
	},
}

// poolOf returns the pool for a connection of which the goroutines wait, or nil. A
// goroutine that opens a connection itself has more frames above.
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

// exhaustedPools finds goroutines that wait for a free connection of a pool. The
// network has nothing to do with that: all connections are in use, or were never
// given back.
func exhaustedPools(e *Evidence) []Finding {
	var found []Finding
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if e.outOfTime() {
			break
		}
		p := e.exhausted(g)
		if p == nil || g.Count < minNetworkWaits || e.lasting(g) < max(almostAll(g.Count), minNetworkWaits) {
			continue
		}
		at := e.site(g.Frames)
		if at < 1 || !e.first().HasMembers && !e.quiet(g.Count) {
			continue
		}
		found = append(found, Finding{
			Title: fmt.Sprintf("%d goroutines wait for a free connection of a pool, in %s%s",
				g.Count, g.Frames[at-1].Function, e.still()),
			Lines:  append([]string{"at " + place(g.Frames[at]), "the pool has as many connections as " + p.limit + " allows"}, e.poolUsers(p, g.Frames[at].Function)...),
			Weight: weightPool + min(g.Count, weightOfCount),
		})
	}
	return found
}

// exhausted returns the pool for a free connection of which the goroutines wait. It
// returns nil if connections are being opened for them: then they wait for the network.
func (e *Evidence) exhausted(g *stack.Group) *pool {
	p := poolOf(g)
	if p == nil || p.dials == "" {
		return p
	}
	dialing := 0
	for i := range e.first().Groups {
		if other := &e.first().Groups[i]; contains(other.Frames, p.dials) {
			dialing += other.Count
		}
	}
	if 2*dialing >= g.Count {
		return nil
	}
	return p
}

// poolUsers returns the lines which say where the goroutines are that may hold the
// connections of a pool. function is the function that waits for one. Goroutines that
// are further on in the same function may hold one too.
func (e *Evidence) poolUsers(p *pool, function string) []string {
	var users []*stack.Group
	n := 0
	for i := range e.first().Groups {
		g := &e.first().Groups[i]
		if poolOf(g) == p {
			continue
		}
		uses := slices.ContainsFunc(g.Frames, func(f stack.Frame) bool {
			return f.Function == function || slices.ContainsFunc(p.uses, func(prefix string) bool { return strings.HasPrefix(unversioned(f.Function), prefix) })
		})
		if at := e.site(g.Frames); uses && at >= 0 && e.rank(g.Frames[at]) >= rankProgram {
			users = append(users, g)
			n += g.Count
		}
	}
	if n == 0 {
		return []string{"no goroutine uses a connection now, so they are probably held by " + p.held}
	}
	lines := []string{plural(n, "goroutine") + " may hold connections:"}
	for _, line := range e.sites(users, 3) {
		lines = append(lines, "    "+line)
	}
	return lines
}
