//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"time"
)

// The program keeps more and more memory.

func init() {
	faults["mapGrows"] = eventsSeenGrow
	faults["mapGrows2"] = auditTrailGrows
}

// eventsSeen filters out events that have come before. It keeps every event for ever.
type eventsSeen struct {
	mu   sync.Mutex
	byID map[uint64][]byte
}

func (s *eventsSeen) first(id uint64, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byID[id]; ok {
		return false
	}
	s.byID[id] = bytes.Clone(body) // GUILTY mapGrows
	return true
}

func (s *eventsSeen) receive(n int, every time.Duration) {
	body := make([]byte, 1000)
	for range n {
		s.first(rand.Uint64(), body)
		if every > 0 {
			time.Sleep(every)
		}
	}
}

func eventsSeenGrow() {
	s := hold(&eventsSeen{byID: map[uint64][]byte{}})
	s.receive(200_000, 0)
	runtime.GC()
	runtime.GC() // the heap profile describes the last collection but one
	go s.receive(1<<30, 5*time.Millisecond)
}

// auditTrail keeps its entries until something writes them out. Nothing does.
type auditTrail struct {
	mu      sync.Mutex
	entries []*bytes.Buffer
}

type auditEntry struct {
	At     time.Time
	Who    string
	Before map[string]string
}

func (a *auditTrail) record(e auditEntry) error {
	b := new(bytes.Buffer)
	if err := json.NewEncoder(b).Encode(e); err != nil { // GUILTY mapGrows2
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.entries = append(a.entries, b) // GUILTY mapGrows2
	return nil
}

func (a *auditTrail) follow(n int, every time.Duration) {
	before := map[string]string{"document": strings.Repeat("lorem ipsum ", 330)}
	for range n {
		if err := a.record(auditEntry{time.Now(), "somebody", before}); err != nil {
			panic(err)
		}
		if every > 0 {
			time.Sleep(every)
		}
	}
}

func auditTrailGrows() {
	a := hold(new(auditTrail))
	a.follow(50_000, 0)
	runtime.GC()
	runtime.GC()
	go a.follow(1<<30, 20*time.Millisecond)
}
