package findings

import (
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// library is what the rules know of a library whose calls wait for others.
//
// To add one: get a program stuck in it (bench/stalls has many to copy), and look at the
// stack (stacks -full). path is what the names of its functions have in common, without
// the major version. calls are the functions that send a request and wait for the answer,
// separated by spaces. They continue the path, and one that ends in a star is a prefix.
// Prefer exported functions and such that have been there for years. Two or three
// functions that all requests pass are better than many. endless are the calls
// that may wait for ever in a healthy program, such as for the next message. No stack
// with one of them is a finding.
//
// Seen in stalled programs with grpc-go 1.85, go-redis 9.23, pgx 5.13, franz-go 1.22,
// sarama 1.61, nats.go 1.55, lib/pq 1.12, go-sql-driver/mysql 1.10, aws-sdk-go-v2 1.48,
// client-go 0.37, x/sync 0.25, and the standard library of Go 1.26 and 1.27.
type library struct {
	name, path     string
	calls, endless string
}

var libraries = []library{
	{"gRPC", "google.golang.org/grpc", ".(*ClientConn).Invoke .(*ClientConn).NewStream .(*clientStream).Header .(*GenericClientStream[...]).CloseAndRecv", ""},
	{"PostgreSQL (pgx)", "github.com/jackc/pgx", ".(*Conn).* /pgconn.*", ".(*Conn).WaitForNotification /pgconn.(*PgConn).WaitForNotification"},
	{"PostgreSQL (lib/pq)", "github.com/lib/pq", ".(*conn).* .(*stmt).* .(*Connector).* .DialOpen", ".(*Listener* .NewListener*"},
	{"MySQL", "github.com/go-sql-driver/mysql", ".(*mysqlConn).* .(*mysqlStmt).* .(*connector).*", ""},
	{"Redis", "github.com/redis/go-redis", ".(*baseClient).* .(*ClusterClient).process .(*Ring).process", ".cmdable.B* .cmdable.XRead* .(*PubSub).*"},
	{"Kafka (sarama)", "github.com/IBM/sarama", ".(*Broker).send* .(*Broker).Open .(*client).RefreshMetadata .NewClient .(*syncProducer).*", ".(*consumerGroup).Consume"},
	{"Kafka (franz-go)", "github.com/twmb/franz-go/pkg/kgo", ".(*Client).Request* .(*Client).Ping .(*Client).ProduceSync .(*Client).Flush .(*Client).Commit* .(*respWaiter).wait", ".(*Client).Poll*"},
	{"NATS", "github.com/nats-io/nats%2ego", ".(*Conn).createNewRequestAndSend .(*Conn).oldRequest .(*Conn).request* .(*Conn).Flush* .(*Conn).connect .(*Conn).processConnectInit", ".(*Subscription).*"},
	{"AWS", "github.com/aws/aws-sdk-go-v2", "", "/service/sqs.(*Client).ReceiveMessage"},
	{"Kubernetes", "k8s.io/client-go", "", "/rest.(*Request).Watch"},
	{"websocket (gorilla)", "github.com/gorilla/websocket", "", ".(*Conn).advanceFrame"},
	{"websocket (coder)", "github.com/coder/websocket", "", ".(*Conn).Reader"},
	// The name of a library from here on is used only if no other one is on the stack.
	{"HTTP", "net/http", ".(*Client).* .(*Transport).*", ""},
	{"database/sql", "database/sql", ".(*DB).conn", ""},
	{"net/rpc", "net/rpc", ".(*Client).Call", ""},
	{"SMTP", "net/smtp", ".*", ""},
	{"TLS", "crypto/tls", ".Dial* .dial .(*Dialer).*", ""},
	{"DNS", "net", ".(*Resolver).*", ""},
	{"net", "net", ".(*Dialer).* .Dial*", ""},
	{"semaphore", "golang.org/x/sync/semaphore", "", ""},
	{"singleflight", "golang.org/x/sync/singleflight", "", ""},
}

// lower is the index of the first library that others use.
var lower = slices.IndexFunc(libraries, func(l library) bool { return l.name == "HTTP" })

// function is what the rules know of a function.
type function struct {
	rank    int
	library int    // the index of its library; -1 if it is in none
	answer  bool   // it waits for an answer
	endless bool   // it may wait for ever in a healthy program
	serves  string // what it calls the program for; see entries
}

// function looks a function up. There are many frames, and few functions.
func (e *Evidence) function(f stack.Frame) function {
	known, ok := e.known[f.Function]
	if !ok {
		known = lookUp(f.Function)
		known.rank = e.Code.rank(f.Package())
		e.known[f.Function] = known
	}
	return known
}

func lookUp(name string) function {
	name = unversioned(name)
	f := function{library: -1}
	for _, s := range entries {
		if name == s.name {
			f.serves = s.what
		}
	}
	for i := range libraries {
		l := &libraries[i]
		rest, ok := strings.CutPrefix(name, l.path)
		if !ok || rest == "" || rest[0] != '.' && rest[0] != '/' {
			continue
		}
		if f.answer = listed(l.calls, rest); f.answer || f.library < 0 {
			f.library = i // two have the path net
		}
		f.endless = f.endless || listed(l.endless, rest)
		if f.answer {
			break
		}
	}
	if f.library >= 0 && libraries[f.library].path == "net" && !f.answer {
		f.library = -1 // it is below all the others
	}
	return f
}

// listed reports whether a name is in a list.
func listed(list, name string) bool {
	for call := range strings.FieldsSeq(list) {
		prefix, all := strings.CutSuffix(call, "*")
		if name == call || all && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isClientCall reports whether a frame is a call to a server.
func (e *Evidence) isClientCall(f stack.Frame) bool { return e.function(f).answer }

// unversioned returns the name of a function without the major version in its import
// path: example.com/m.F for example.com/m/v2.F.
func unversioned(function string) string {
	for from := 0; ; {
		i := strings.Index(function[from:], "/v")
		if i < 0 {
			return function
		}
		i += from
		end := i + len("/v")
		for end < len(function) && function[end] >= '0' && function[end] <= '9' {
			end++
		}
		if end == i+len("/v") || end == len(function) || function[end] != '/' && function[end] != '.' {
			from = end
			continue
		}
		return function[:i] + function[end:]
	}
}
