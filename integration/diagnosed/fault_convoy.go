//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// One goroutine blocks with a lock held, and many others wait for the lock.

func init() {
	faults["lockConvoy"] = sessionsBehindBackend
	faults["lockConvoy2"] = routesBehindExport
}

// sessions caches the answers of a backend. A request that asks the backend holds
// the lock, and all others wait for it.
type sessions struct {
	mu      sync.Mutex
	byID    map[string]string
	backend *lineClient
}

func (s *sessions) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	user, err := s.user(r.URL.Path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	fmt.Fprintln(w, user)
}

func (s *sessions) user(id string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if user, ok := s.byID[id]; ok {
		return user, nil
	}
	user, err := s.backend.ask("GET " + id) // GUILTY lockConvoy
	if err == nil {
		s.byID[id] = user
	}
	return user, err
}

func sessionsBehindBackend() {
	s := &sessions{byID: map[string]string{}, backend: dialLines(startPeer("silent"))}
	url, _, served := serve(s)
	startPeer("clients", url+"/", 61, 61, 0)
	await("61 requests", func() bool { return served.Load() >= 61 })
}

// routes is a table that requests read, change and export.
type routes struct {
	mu   sync.RWMutex
	next map[string]string
}

func (t *routes) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/export"):
		t.serveExport(w)
	case strings.HasPrefix(r.URL.Path, "/update"):
		t.update(r.URL.Path, r.RemoteAddr)
	default:
		fmt.Fprintln(w, t.lookup(r.URL.Path))
	}
}

func (t *routes) lookup(to string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.next[to]
}

func (t *routes) update(to, via string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.next[to] = via
}

// serveExport writes as many entries as fit into a page. It forgets that there may
// be more: export then blocks for ever, with the read lock held.
func (t *routes) serveExport(w io.Writer) {
	entries := make(chan string)
	go func() {
		for range 10 {
			fmt.Fprintln(w, <-entries)
		}
	}()
	t.export(entries)
}

func (t *routes) export(entries chan<- string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for to, via := range t.next {
		entries <- to + " " + via // GUILTY lockConvoy2
	}
}

func routesBehindExport() {
	t := &routes{next: map[string]string{}}
	for i := range 100 {
		t.next[strconv.Itoa(i)] = "127.0.0.1"
	}
	url, _, served := serve(t)
	// The order matters: a lookup passes as long as no update waits for the lock.
	for i, what := range []string{"/export/", "/update/", "/lookup/"} {
		n := []int{1, 6, 54}[i]
		before := served.Load()
		startPeer("clients", url+what, n, n, 0)
		await(what, func() bool { return served.Load() == before+int64(n) })
	}
}
