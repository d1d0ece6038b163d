package findings

import (
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// kind is what requests wait for.
type kind uint8

const (
	noWait  kind = iota
	answer       // of a server, in a client
	raw          // of a server, in a read or dial of the program itself
	free         // a connection of a pool
	another      // that another goroutine gives back a semaphore, or ends the call that they share
)

// wait is what a group waits for.
type wait struct {
	kind    kind
	library string
	call    string // the function that the program has called, shortened
	pool    *pool
	at      int // the index of the frame of the program
}

// waitOf returns what a group waits for.
func (e *Evidence) waitOf(g *stack.Group) wait {
	if onCPU(g) || g.State == "sleep" {
		return wait{}
	}
	at := e.site(g.Frames)
	if at < 1 || e.rank(g.Frames[at]) < rankProgram {
		return wait{}
	}
	for at+1 < len(g.Frames) && generated(g.Frames[at]) && e.rank(g.Frames[at+1]) == rankProgram {
		at++ // generated code is between the program and its library
	}
	w := wait{at: at, call: callName(g.Frames[at-1])}
	highest, asks := -1, false // the highest library on the stack
	for i := range g.Frames[:at] {
		c := e.function(g.Frames[i])
		if c.endless {
			return wait{}
		}
		asks = asks || c.answer
		if c.library >= 0 && (c.library < lower || highest < 0 || highest >= lower) {
			highest = c.library
		}
	}
	if highest >= 0 {
		w.library = libraries[highest].name
	}
	switch p := e.exhausted(g); {
	case p != nil:
		w.kind, w.pool, w.library = free, p, p.name
	case asks:
		w.kind = answer
	case g.State == "select" && g.Frames[0].Function == "golang.org/x/sync/semaphore.(*Weighted).Acquire",
		g.State == "sync.WaitGroup.Wait" && contains(g.Frames[:at], "golang.org/x/sync/singleflight.(*Group).Do"):
		w.kind = another
	case g.State == "IO wait" && readsOrDials(g.Frames[:at]) && e.first().HasMembers:
		w.kind = raw // unless others have opened the connection
		if highest < 0 {
			w.library, w.call = "the network, in", g.Frames[at-1].Function
		}
	}
	return w
}

// callName returns a function as people know it: DB.QueryContext, Health/Check for the
// method of a client that is made for gRPC, and Get if the type is not exported.
func callName(f stack.Frame) string {
	name := strings.TrimPrefix(f.Function[len(f.Package()):], ".")
	typ, method, ok := strings.Cut(name, ").")
	typ = strings.TrimPrefix(typ, "(*")
	if !ok {
		if typ, method, ok = strings.Cut(name, "."); !ok {
			return name
		}
	}
	if typ == "" || typ[0] < 'a' || typ[0] > 'z' {
		return typ + "." + method
	}
	if service, ok := strings.CutSuffix(typ, "Client"); ok && service != "" {
		return strings.ToUpper(service[:1]) + service[1:] + "/" + method
	}
	return method
}
