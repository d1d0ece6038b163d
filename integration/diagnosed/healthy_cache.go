//go:build linux

package main

import (
	"container/list"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	healthy["bigCache"] = func() { startOrdinary(); startBigCache() }
}

// lru is a cache that keeps the lruPages pages that were used last.
type lru struct {
	mu     sync.Mutex // guards order and pages
	order  *list.List // of *page, the last used first
	pages  map[int]*list.Element
	loaded atomic.Int64
}

type page struct {
	number int
	data   []byte
}

const lruPages = 5000 // of 4 KB

func (c *lru) get(number int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.pages[number]; ok {
		c.order.MoveToFront(e)
		return e.Value.(*page).data
	}
	p := &page{number, make([]byte, 4096)}
	c.pages[number] = c.order.PushFront(p)
	if c.order.Len() > lruPages {
		last := c.order.Back()
		delete(c.pages, c.order.Remove(last).(*page).number)
	}
	c.loaded.Add(1)
	return p.data
}

func (c *lru) use(every time.Duration) {
	for {
		for range 20 {
			_ = c.get(int(rand.ExpFloat64() * 2000))
		}
		time.Sleep(every)
	}
}

func startBigCache() {
	c := hold(&lru{order: list.New(), pages: map[int]*list.Element{}})
	for i := range 4 * lruPages {
		c.get(i)
	}
	runtime.GC()
	runtime.GC() // the heap profile describes the last collection but one
	for range 4 {
		go c.use(5 * time.Millisecond)
	}
	await("use", func() bool { return c.loaded.Load() > 4*lruPages+1000 })
}
