package findings

import (
	"fmt"
	"testing"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// httpServer returns the goroutines of an HTTP server with as many stacks as places: half of
// the connections are idle, and the others wait for an answer. Each of them has a client
// that reads in the program itself.
func httpServer(goroutines, places int) *stack.Snapshot {
	text := []string{goroutine(1, "IO wait", "net.(*netFD).accept", "net.(*TCPListener).Accept", "net/http.(*Server).Serve", "main.main")}
	for i := range goroutines / 4 {
		handler := fmt.Sprintf("main.handler%d", i%places)
		serve := []string{"main.logged.func1", "net/http.HandlerFunc.ServeHTTP", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve"}
		text = append(text,
			goroutine(4*i+10, "IO wait", "net.(*conn).Read", "net/http.(*connReader).backgroundRead"),
			goroutine(4*i+11, "select", append([]string{"net/http.(*persistConn).roundTrip", "net/http.(*Transport).roundTrip", "net/http.(*Client).Do", handler, "net/http.HandlerFunc.ServeHTTP"}, serve...)...),
			goroutine(4*i+12, "select", "net/http.(*persistConn).writeLoop"),
			goroutine(4*i+13, "IO wait", "net.(*conn).Read", "main.(*peer).read", handler))
	}
	return listing(text...)
}

// BenchmarkFind shows that the time of the rules grows as the number of goroutines does,
// and not faster.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{300, 10_000, 100_000} {
		for _, places := range []int{10, 1000, 25_000} {
			if 4*places > n {
				continue
			}
			s := httpServer(n, places)
			b.Run(fmt.Sprintf("goroutines=%d/stacks=%d", n, len(s.Groups)), func(b *testing.B) {
				for b.Loop() {
					Find(&Evidence{Looks: []*stack.Snapshot{s, s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Code: Code{Main: "example.com/service"}})
				}
			})
		}
	}
}
