package findings

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

func TestUnversioned(t *testing.T) {
	for in, want := range map[string]string{
		"example.com/m/v2.F":           "example.com/m.F",
		"example.com/m/v12/pkg.(*T).F": "example.com/m/pkg.(*T).F",
		"example.com/views/v.F":        "example.com/views/v.F",
		"example.com/v1x/v3.F":         "example.com/v1x.F",
		"example.com/vvv":              "example.com/vvv",
		"main.F":                       "main.F",
		"a/v2":                         "a/v2",
		"":                             "",
	} {
		require.Equal(t, want, unversioned(in))
	}
}

// inModule returns the findings in a program whose libraries are other modules.
func inModule(s *stack.Snapshot) []Finding {
	return Find(&Evidence{Looks: []*stack.Snapshot{s, s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Code: Code{Main: "example.com/service"}})
}

// The stacks are those of stalled programs with the real libraries, shortened.
func TestCallsOfClientsThatGetNoAnswer(t *testing.T) {
	for title, frames := range map[string][]string{
		"gRPC Health/Check": {
			"google.golang.org/grpc/internal/transport.(*ClientStream).waitOnHeader", "google.golang.org/grpc.(*clientStream).RecvMsg",
			"google.golang.org/grpc.invoke", "google.golang.org/grpc.(*ClientConn).Invoke", "google.golang.org/grpc/health/grpc_health_v1.(*healthClient).Check",
		},
		"Kafka (franz-go) Client.Ping":        {"github.com/twmb/franz-go/pkg/kgo.(*respWaiter).wait", "github.com/twmb/franz-go/pkg/kgo.(*broker).waitResp", "github.com/twmb/franz-go/pkg/kgo.(*Client).Ping"},
		"PostgreSQL (pgx) Conn.Query":         {"net.(*conn).Read", "github.com/jackc/pgx/v5/pgconn.(*PgConn).receiveMessage", "github.com/jackc/pgx/v5.(*Conn).Query"},
		"PostgreSQL (lib/pq) DB.QueryContext": {"net.(*conn).Read", "github.com/lib/pq.(*conn).recv1Buf", "database/sql.(*DB).QueryContext"},
		"Redis Get":                           {"net.(*conn).Read", "github.com/redis/go-redis/v9.(*baseClient).process", "github.com/redis/go-redis/v9.cmdable.Get"},
		"AWS Client.SendMessage":              {"net/http.(*persistConn).roundTrip", "net/http.(*Client).Do", "github.com/aws/aws-sdk-go-v2/service/sqs.(*Client).SendMessage"},
	} {
		found := inModule(listing(many(40, 100, "select", append(frames, "main.orders")...)...))
		require.Len(t, found, 1, title)
		require.Equal(t, "40 of 40 goroutines of main.orders wait in "+title+", and still 0s later", found[0].Title)
		require.Equal(t, []string{fmt.Sprintf("at main.orders  /src/main.go:%d", 10+len(frames))}, found[0].Lines)
	}
}

// A goroutine that waits for the next message of a subscription or stream is healthy.
func TestSubscriptionsAreNotFindings(t *testing.T) {
	for name, frames := range map[string][]string{
		"grpc stream": {"google.golang.org/grpc/internal/transport.(*recvBufferReader).readClient", "google.golang.org/grpc.(*clientStream).RecvMsg", "google.golang.org/grpc.(*GenericClientStream[...]).Recv"},
		"franz-go":    {"sync.(*Cond).Wait", "github.com/twmb/franz-go/pkg/kgo.(*Client).PollRecords.func4", "github.com/twmb/franz-go/pkg/kgo.(*Client).PollRecords"},
		"pgx":         {"net.(*conn).Read", "github.com/jackc/pgx/v5/pgconn.(*PgConn).WaitForNotification", "github.com/jackc/pgx/v5.(*Conn).WaitForNotification"},
		"redis":       {"net.(*conn).Read", "github.com/redis/go-redis/v9.(*baseClient).process", "github.com/redis/go-redis/v9.cmdable.BLPop"},
		"sqs":         {"net/http.(*persistConn).roundTrip", "net/http.(*Client).Do", "github.com/aws/aws-sdk-go-v2/service/sqs.(*Client).ReceiveMessage"},
		"nats":        {"github.com/nats-io/nats%2ego.(*Subscription).NextMsg"},
	} {
		require.Empty(t, inModule(listing(many(40, 100, "select", append(frames, "main.watch")...)...)), name)
	}
}

func TestPoolsOfLibraries(t *testing.T) {
	for name, test := range map[string]struct {
		frames []string
		pool   bool
	}{
		"redis":             {[]string{"github.com/redis/go-redis/v9/internal.(*FastSemaphore).Acquire", "github.com/redis/go-redis/v9/internal/pool.(*ConnPool).waitTurn", "github.com/redis/go-redis/v9.(*baseClient).process"}, true},
		"pgxpool":           {[]string{"golang.org/x/sync/semaphore.(*Weighted).Acquire", "github.com/jackc/puddle/v2.(*Pool[...]).acquire", "github.com/jackc/pgx/v5/pgxpool.(*Pool).Exec"}, true},
		"pgxpool, connects": {[]string{"github.com/jackc/puddle/v2.(*Pool[...]).initResourceValue", "github.com/jackc/puddle/v2.(*Pool[...]).acquire", "github.com/jackc/pgx/v5/pgxpool.(*Pool).Exec"}, false},
		"a semaphore":       {[]string{"golang.org/x/sync/semaphore.(*Weighted).Acquire", "main.work"}, false},
	} {
		g := stack.Group{State: "select"}
		for _, f := range test.frames {
			g.Frames = append(g.Frames, stack.Frame{Function: f})
		}
		require.Equal(t, test.pool, poolOf(&g) != nil, name)
	}
}
