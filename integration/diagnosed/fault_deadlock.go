//go:build linux

package main

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Goroutines wait for one another's locks.

func init() {
	faults["deadlock"] = transfersCross
	faults["deadlock2"] = ordersCross
}

type account struct {
	mu      sync.Mutex
	balance int
}

// bank transfers money between accounts, each transfer in its own goroutine. Two
// transfers in opposite directions wait for each other.
type bank struct{ transfers atomic.Int64 }

func (b *bank) transfer(from, to *account, amount int) {
	from.mu.Lock()
	defer from.mu.Unlock()
	if !b.approve(from, amount) {
		return
	}
	to.mu.Lock() // GUILTY deadlock
	defer to.mu.Unlock()
	from.balance -= amount
	to.balance += amount
}

// approve takes as long as a check for fraud.
func (b *bank) approve(from *account, amount int) bool {
	b.transfers.Add(1)
	time.Sleep(100 * time.Millisecond)
	return from.balance >= amount
}

func transfersCross() {
	b := new(bank)
	anna, bert := hold(&account{balance: 100}), hold(&account{balance: 100})
	go b.transfer(anna, bert, 10)
	go b.transfer(bert, anna, 20)
	await("two transfers", func() bool { return b.transfers.Load() == 2 })
}

// orders and inventory call each other, each with its own lock held.
type orders struct {
	mu        sync.Mutex
	open      map[string]int
	inventory *inventory
}

type inventory struct {
	mu       sync.Mutex
	reserved map[string]int
	orders   *orders
	audits   atomic.Int64
}

func (o *orders) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, o.count())
}

func (o *orders) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.open)
}

func (o *orders) cancel(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	time.Sleep(50 * time.Millisecond) // pays back
	o.inventory.release(id)           // GUILTY deadlock2
	delete(o.open, id)
}

func (o *orders) has(id string) bool {
	o.mu.Lock() // GUILTY deadlock2
	defer o.mu.Unlock()
	_, ok := o.open[id]
	return ok
}

func (i *inventory) release(id string) {
	i.mu.Lock() // GUILTY deadlock2
	defer i.mu.Unlock()
	delete(i.reserved, id)
}

// audit deletes reservations that have no order.
func (i *inventory) audit() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.audits.Add(1)
	time.Sleep(50 * time.Millisecond) // reads the records
	for id := range i.reserved {
		if !i.orders.has(id) { // GUILTY deadlock2
			delete(i.reserved, id)
		}
	}
}

func ordersCross() {
	o := &orders{open: map[string]int{"1": 1}}
	o.inventory = &inventory{reserved: map[string]int{"1": 1}, orders: o}
	go o.cancel("1")
	go o.inventory.audit()
	await("the audit", func() bool { return o.inventory.audits.Load() == 1 })
	url, _, served := serve(o)
	startPeer("clients", url+"/", 30, 30, 0)
	await("30 requests", func() bool { return served.Load() == 30 })
}
