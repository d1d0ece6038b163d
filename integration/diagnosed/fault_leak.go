//go:build linux

package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Each request leaves a goroutine that waits on a channel for ever.

func init() {
	faults["channelLeak"] = quotesLeak
	faults["channelLeak2"] = notificationsLeak
}

// quotes looks up prices with a timeout. After the timeout nobody receives the
// answer, and its goroutine is leaked.
type quotes struct{ source priceSource }

type priceSource struct{ delay time.Duration }

func (s priceSource) lookup(item string) int {
	time.Sleep(s.delay)
	return len(item)
}

func (q *quotes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	price, err := q.price(r.Context(), r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
		return
	}
	fmt.Fprintln(w, price)
}

func (q *quotes) price(ctx context.Context, item string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
	defer cancel()
	answer := make(chan int)
	go func() {
		answer <- q.source.lookup(item) // GUILTY channelLeak
	}()
	select {
	case p := <-answer:
		return p, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func quotesLeak() {
	url, came, _ := serve(&quotes{priceSource{30 * time.Millisecond}})
	startPeer("clients", url+"/", 400, 20, 20)
	await("400 quotes", func() bool { return came.Load() >= 400 })
}

// notifier informs the customer when an order is done.
type notifier struct {
	mu   sync.Mutex
	done map[string]chan struct{} // by customer; a second order replaces the first, which is never done
}

func (n *notifier) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.watch(strconv.Itoa(len(r.URL.Path)))
	w.WriteHeader(http.StatusAccepted)
}

func (n *notifier) watch(customer string) {
	done := make(chan struct{})
	n.mu.Lock()
	n.done[customer] = done
	n.mu.Unlock()
	go n.notify(customer, done)
}

func (n *notifier) notify(customer string, done <-chan struct{}) {
	<-done // GUILTY channelLeak2
	log.Println("the order is done of", customer)
}

func notificationsLeak() {
	url, came, _ := serve(hold(&notifier{done: map[string]chan struct{}{}}))
	startPeer("clients", url+"/", 2000, 16, 20)
	await("2000 notifications", func() bool { return came.Load() >= 2000 })
}
