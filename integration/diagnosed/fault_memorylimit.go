//go:build linux

package main

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"
)

// What the program needs fills the memory limit, and the garbage collector runs all
// the time.

func init() {
	faults["memoryLimit"] = catalogueFillsLimit
	faults["memoryLimit2"] = uploadsFillLimit
}

// catalogue keeps all items in memory. It has become as large as the memory limit.
type catalogue struct{ items []*item }

type item struct {
	name    string
	related [8]*item
	prices  [4]float64
}

func (c *catalogue) load(n int) {
	c.items = make([]*item, 0, n)
	for i := range n {
		it := &item{name: "something"} // GUILTY memoryLimit
		for k := range min(i, len(it.related)) {
			it.related[k] = c.items[i-k-1]
		}
		c.items = append(c.items, it)
	}
}

// search returns the items with the same prices as a random one.
func (c *catalogue) search() (found []*item) {
	first := rand.IntN(len(c.items) - 5000)
	for _, it := range c.items[first : first+5000] {
		if it.prices == c.items[first].prices {
			found = append(found, it)
		}
	}
	return found
}

// catalogueFillsLimit allocates 97 MB of items and pointers to them, under a limit
// of 100 MB.
func catalogueFillsLimit() {
	c := hold(new(catalogue))
	c.load(97 << 20 / (112 + 8))
	thrash(100 << 20)
	var hits atomic.Int64
	for range 8 {
		go func() {
			for {
				hits.Add(int64(len(c.search())))
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	collects(20)
}

// thrash sets the memory limit. GOMEMLIMIT would set it from the start.
func thrash(limit int64) {
	runtime.GC()
	runtime.GC()
	debug.SetMemoryLimit(limit)
}

// collects returns when the collector has run the given number of times.
func collects(times uint32) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	end := m.NumGC + times
	waitUntil(func() bool {
		runtime.ReadMemStats(&m)
		return m.NumGC >= end
	}, strconv.Itoa(int(times))+" collections")
}

// upload holds a part of its body in memory until the part is complete.
type upload struct {
	part []byte
	body io.Reader
}

func (u *upload) receive() error {
	u.part = make([]byte, 4<<20) // GUILTY memoryLimit2
	for i := range u.part {
		u.part[i] = byte(i)
	}
	_, err := io.ReadFull(u.body, u.part)
	return err
}

func uploadsFillLimit() {
	for range 24 {
		r, w := io.Pipe()
		hold(w)
		go (&upload{body: r}).receive()
	}
	rest()
	thrash(98 << 20)
	for range 8 {
		go func() {
			for {
				if _, err := json.Marshal(make([]int, 20_000)); err != nil {
					panic(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	collects(20)
}
