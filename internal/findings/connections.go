package findings

import (
	"fmt"
	"sort"
	"time"

	"github.com/gomanhole/oneshot/internal/conns"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
)

// server is the other side of connections that this program has opened.
type server struct {
	address    string
	count      int
	least      time.Duration // how long no byte has come on any of them
	connecting int
	unacked    int
}

// silent returns lines about the servers that owe answers: on connections that this
// program has opened, the last byte went to the server. The servers with the most of these
// connections come first.
func (e *Evidence) silent() []string {
	if e.Conns == nil || !e.Final {
		return nil
	}
	all := e.Conns()
	servers := silentServers(all, true)
	if len(servers) == 0 {
		servers = silentServers(all, false)
	}
	var lines []string
	for _, s := range servers[:min(len(servers), maxServers)] {
		if s.least < e.span() {
			continue
		}
		line := fmt.Sprintf("no byte from %s for %s, on %s", s.address, rounded(s.least), plaintext.Plural(s.count, "connection"))
		switch {
		case s.connecting == s.count:
			line = fmt.Sprintf("%s has not answered %s", s.address, plaintext.Plural(s.count, "attempt")+" to connect")
		case s.unacked > 0:
			line += fmt.Sprintf("; its host has not acknowledged %s", plaintext.Plural(s.unacked, "byte"))
		}
		lines = append(lines, line)
	}
	return lines
}

// silentServers returns the servers that owe answers. If sure is true, it leaves out
// connections of which that is not certain.
func silentServers(all []conns.Conn, sure bool) []*server {
	index := make(map[string]*server)
	var servers []*server
	for _, c := range all {
		waits, certain := c.Waits()
		if c.Accepted || !waits || sure && !certain || !c.Remote.IsValid() {
			continue
		}
		address := c.Remote.String()
		s := index[address]
		if s == nil {
			s = &server{address: address, least: c.Received}
			index[address] = s
			servers = append(servers, s)
		}
		s.count++
		s.least = min(s.least, c.Received)
		s.unacked += c.Unacked
		if c.Connecting {
			s.connecting++
		}
	}
	sort.SliceStable(servers, func(i, j int) bool { return servers[i].count > servers[j].count })
	return servers
}

// rounded returns a duration without parts that do not matter.
func rounded(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}

func readsOrDials(frames []stack.Frame) bool {
	return contains(frames, "net.(*conn).Read", "net.(*conn).Write", "crypto/tls.(*Conn).Read", "net.(*netFD).Read", "net.(*netFD).connect")
}

// acceptedConn reports whether the goroutines, or the goroutines that started them,
// were started by a function that accepts connections. Such goroutines serve
// clients, and a client may be silent for any time. The result is true also if this
// cannot be known.
func (e *Evidence) acceptedConn(g *stack.Group) bool {
	if e.acceptors == nil {
		e.acceptors = make(map[string]bool) // the functions on stacks on which a connection is accepted
		for i := range e.first().Groups {
			if frames := e.first().Groups[i].Frames; contains(frames, "net.(*TCPListener).Accept", "net.(*UnixListener).Accept", "net.(*netFD).accept") {
				for _, f := range frames {
					e.acceptors[f.Function] = true
				}
			}
		}
	}
	const generations = 4
	for range generations {
		if e.acceptors[g.Creator.Function] {
			return true
		}
		parent := g.Members[0].Parent
		by := e.groupOf(parent)
		if by == nil {
			return parent != 1 // the parent has ended, or it is main, which cannot have ended
		}
		if g = by; g.Creator.Function == "" { // main
			return false
		}
	}
	return false
}

// groupOf returns the group of a goroutine at the first look, or nil.
func (e *Evidence) groupOf(id uint64) *stack.Group {
	if e.members == nil {
		e.members = make(map[uint64]*stack.Group, e.first().Total)
		for i := range e.first().Groups {
			g := &e.first().Groups[i]
			for _, m := range g.Members {
				e.members[m.ID] = g
			}
		}
	}
	return e.members[id]
}
