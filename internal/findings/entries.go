package findings

import (
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// entries are the functions below which servers and libraries call the program, and what
// such a call is. The names are without the major version of the module.
var entries = []struct{ name, what string }{
	{"net/http.serverHandler.ServeHTTP", "request"},
	{"google.golang.org/grpc.(*Server).handleStream", "request"},
	{"google.golang.org/grpc.(*Server).processUnaryRPC", "request"},
	{"net/rpc.(*service).call", "request"},
	{"github.com/nats-io/nats%2ego.(*Conn).waitForMsgs", "message"},
	{"github.com/IBM/sarama.(*consumerGroupSession).consume", "message"},
}

// entry is where the work of a goroutine begins.
type entry struct {
	function string // of the program
	what     string // "goroutine", or what a server or library has called the program for
}

// entryOf returns the entry of a group. function is "" if there is no code of the program
// on the stack. Below a server, it is the innermost function of the program that another
// module or net/http has called: that is the handler, and not what is wrapped around it.
func (e *Evidence) entryOf(g *stack.Group) entry {
	what, from := "goroutine", len(g.Frames)
	for i, f := range slices.Backward(g.Frames) {
		if what = e.function(f).serves; what != "" {
			from = i
			break
		}
	}
	if what == "" {
		return entry{e.entry(g), "goroutine"}
	}
	found := entry{what: what}
	ours := false // the frame before, which is the caller, belongs to the program
	for i := from - 1; i >= 0; i-- {
		f := g.Frames[i]
		program := e.rank(f) == rankProgram && !generated(f)
		if program && !ours && (found.function == "" || e.handsOver(g.Frames[i+1])) {
			found.function = f.Function
		}
		ours = program
	}
	return found
}

// handsOver reports whether a function that is no code of the program may pass a request
// on to the program: one of net/http, of a framework, or generated. Other functions of the
// standard library, and clients, call functions that only belong to the handler.
func (e *Evidence) handsOver(f stack.Frame) bool {
	switch {
	case f.Package() == "net/http", generated(f):
		return true
	case e.rank(f) == rankStandard, strings.HasPrefix(f.Function, "golang.org/x/"):
		return false
	}
	at := e.function(f).library
	return at < 0 || libraries[at].name == "gRPC"
}

// generated reports whether the function was generated from a description of a protocol.
func generated(f stack.Frame) bool { return strings.HasSuffix(f.File, ".pb.go") }
