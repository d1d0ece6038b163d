//go:build linux

package main

import (
	"errors"
	"sync"
	"time"
)

// One goroutine waits for a reply, and whoever should have sent it has returned early.

func init() {
	faults["lostReply"] = quoteIsLost
	healthy["lateReply"] = func() { startOrdinary(); startLateReply() }
}

var errNoRate = errors.New("there is no rate for this currency")

// quote sends the price in a currency, unless there is an error.
func quote(currency string, price chan<- int) error {
	time.Sleep(10 * time.Millisecond)
	if currency != "EUR" {
		return errNoRate
	}
	price <- 42
	return nil
}

// askForQuote starts a goroutine that waits for a price. It reports whether there will be
// none.
func askForQuote(currency string) (lost bool) {
	price, started := make(chan int), make(chan struct{})
	go func() {
		close(started)
		<-price // GUILTY lostReply
	}()
	<-started
	return quote(currency, price) != nil
}

func quoteIsLost() {
	done := make(chan bool)
	go func() { done <- askForQuote("XYZ") }()
	if !<-done {
		panic("there was a price")
	}
}

// pending are requests without an answer, by their numbers.
type pending struct {
	mu     sync.Mutex // guards prices
	prices map[int]chan int
}

// startLateReply waits for prices that come after a minute.
func startLateReply() {
	p := &pending{prices: make(map[int]chan int)}
	for i := range 3 {
		price := make(chan int)
		p.prices[i] = price
		go func() { <-price }()
	}
	time.AfterFunc(time.Minute, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, price := range p.prices {
			price <- 42
		}
	})
}
