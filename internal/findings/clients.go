package findings

import (
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/stack"
)

// clientCalls are functions of clients that send a request and wait for the answer. A
// name that ends in a star stands for all names that begin so. The names are
// without the major version of the module. Calls that wait for whatever comes next, such
// as the next message of a subscription, are not here: they may wait for ever.
//
// Seen in stalled programs with grpc-go 1.85, go-redis 9.23, pgx 5.13, franz-go 1.22,
// sarama 1.61, nats.go 1.55, lib/pq 1.12 and mysql 1.10.
var clientCalls = []string{
	"net/http.(*Client).do",
	"net/http.(*Client).Do",
	"net/http.(*Transport).roundTrip",
	"net/http.(*Transport).RoundTrip",
	"net.(*Dialer).DialContext",
	"net/rpc.(*Client).Call",
	"database/sql.(*DB).conn",
	"google.golang.org/grpc.(*ClientConn).Invoke",
	"github.com/redis/go-redis.(*baseClient).process",
	"github.com/jackc/pgx.(*Conn).*",
	"github.com/jackc/pgx/pgconn.*",
	"github.com/twmb/franz-go/pkg/kgo.(*respWaiter).wait",
	"github.com/IBM/sarama.(*Broker).sendAndReceive",
	"github.com/IBM/sarama.(*client).RefreshMetadata",
	"github.com/nats-io/nats%2ego.(*Conn).createNewRequestAndSend",
	"github.com/nats-io/nats%2ego.(*Conn).request",
	"github.com/nats-io/nats%2ego.(*Conn).requestWithContext",
	"github.com/nats-io/nats%2ego.(*Conn).connect",
	"github.com/nats-io/nats%2ego.(*Conn).FlushTimeout",
}

// isClientCall reports whether a frame is a call to a server.
func isClientCall(f stack.Frame) bool {
	name := unversioned(f.Function)
	return slices.ContainsFunc(clientCalls, func(call string) bool {
		prefix, all := strings.CutSuffix(call, "*")
		return name == call || all && strings.HasPrefix(name, prefix)
	})
}

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
