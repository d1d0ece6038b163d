//go:build linux

package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// Nobody reads the log, and every goroutine that logs waits.

func init() {
	faults["stuckLog"] = logBlocks
	faults["stuckLog2"] = slogBlocks
}

// fullPipe returns the write end of a full pipe. The other end is open, and nobody
// reads it. If blocks is set, a write blocks its thread; otherwise the runtime's
// poller waits.
func fullPipe(blocks bool) *os.File {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		panic(err)
	}
	for err := error(nil); err == nil; {
		_, err = syscall.Write(fds[1], make([]byte, 1))
	}
	if err := syscall.SetNonblock(fds[1], !blocks); err != nil {
		panic(err)
	}
	return os.NewFile(uintptr(fds[1]), "stderr")
}

// shop logs its requests with package log.
type shop struct{ carts sync.Map }

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		log.Printf("%s: refused %s", r.RemoteAddr, r.Method) // GUILTY stuckLog
		return
	}
	items := s.add(r.RemoteAddr, r.URL.Path)
	fmt.Fprintln(w, items)
}

func (s *shop) add(customer, item string) int {
	if _, had := s.carts.Swap(customer, item); had {
		log.Printf("%s replaces its cart", customer) // GUILTY stuckLog
	}
	log.Printf("%s: a cart with %s", customer, item) // GUILTY stuckLog
	return 1
}

func logBlocks() {
	log.SetOutput(fullPipe(true))
	url, _, served := serve(new(shop))
	startPeer("clients", url+"/", 40, 40, 0)
	await("40 requests", func() bool { return served.Load() == 40 })
}

// ledger logs with a slog.Logger of its own.
type ledger struct {
	logger *slog.Logger
	sum    atomic.Int64
}

func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, l.book(r.Context(), r.URL.Path))
}

func (l *ledger) book(ctx context.Context, what string) int64 {
	sum := l.sum.Add(int64(len(what)))
	if sum%5 == 0 {
		l.logger.WarnContext(ctx, "a round sum", "sum", sum) // GUILTY stuckLog2
	}
	l.logger.InfoContext(ctx, "booked", "what", what, slog.Group("now", "sum", sum)) // GUILTY stuckLog2
	return sum
}

func slogBlocks() {
	l := &ledger{logger: slog.New(slog.NewJSONHandler(fullPipe(false), nil)).With("service", "ledger")}
	url, _, served := serve(l)
	startPeer("clients", url+"/", 40, 40, 0)
	await("40 requests", func() bool { return served.Load() == 40 })
}
