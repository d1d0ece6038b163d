//go:build linux

package integration

import (
	"bufio"
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// healthy start programs in which there is nothing to find, and return when
// they are in full swing. All but idle and keepalive have startOrdinary beneath.
var healthy = map[string]func(){
	"idle":       startIdle,
	"busyHTTP":   func() { startOrdinary(); startBusyHTTP() },
	"keepalive":  startKeepalive,
	"workerPool": func() { startOrdinary(); startWorkerPool() },
	"pipeline":   func() { startOrdinary(); startPipeline() },
	"bigCache":   func() { startOrdinary(); startBigCache() },
}

// startIdle has a few of the ordinary kinds.
func startIdle() {
	for _, start := range ordinary[:12] {
		start()
	}
	rest()
}

// visits is a service: JSON in, a little work, JSON out.
type visits struct {
	mu    sync.Mutex // guards count
	count map[string]int
}

type visit struct {
	Page  string `json:"page"`
	Hash  string `json:"hash"`
	Count int    `json:"count"`
}

func (v *visits) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in visit
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.Count = v.add(in.Page)
	sum := sha256.Sum256([]byte(in.Page))
	for range 20 {
		sum = sha256.Sum256(sum[:])
	}
	in.Hash = hex.EncodeToString(sum[:])
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(in)
}

func (v *visits) add(page string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count[page]++
	return v.count[page]
}

func startBusyHTTP() {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(l, &visits{count: map[string]int{}})
	var answers atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for range 16 {
		go visitOn(client, "http://"+l.Addr().String(), &answers)
	}
	await("answers", func() bool { return answers.Load() > 1000 })
}

// visitOn is one client, which thinks between two requests.
func visitOn(client *http.Client, url string, answers *atomic.Int64) {
	for {
		body := fmt.Sprintf(`{"page": "/%d"}`, rand.IntN(1000))
		resp, err := client.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		var out visit
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			panic(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		answers.Add(1)
		time.Sleep(2 * time.Millisecond)
	}
}

// startKeepalive has 10,000 connections with both ends, or, where so many
// descriptors are not allowed, the clients in another process.
func startKeepalive() {
	const n = 10_000
	limit := int(limitFiles(40_000))
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello\n")
	}))
	if limit >= 24_000 {
		keepConnections(l.Addr().String(), n)
	} else {
		startPeer("keepalive", l.Addr(), min(n, limit/2))
	}
}

// keepConnections opens n connections and has now and then a request on one.
func keepConnections(address string, n int) {
	conns := make([]net.Conn, n)
	var connected atomic.Int64
	for part := range 8 {
		go func() {
			for i := part; i < n; i += 8 {
				conns[i] = must(net.Dial("tcp", address))
				hello(conns[i])
				connected.Add(1)
			}
		}()
	}
	testwait.Until(func() bool { return connected.Load() == int64(n) }, fmt.Sprintf("%d connections", n))
	hold(conns)
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			hello(conns[rand.IntN(n)])
		}
	}()
}

func hello(c net.Conn) {
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: healthy\r\n\r\n")
	if err != nil {
		panic(err)
	}
	resp := must(http.ReadResponse(bufio.NewReader(c), nil))
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}

// resizer is a pool of 200 workers, which its producer keeps busy.
type resizer struct {
	jobs chan int
	done atomic.Int64
}

func (p *resizer) produce() {
	for i := 0; ; i++ {
		p.jobs <- i
	}
}

func (p *resizer) work() {
	for job := range p.jobs {
		time.Sleep(10*time.Millisecond + rand.N(20*time.Millisecond)) // fetches
		h := fnv.New64a()
		for range 100 {
			fmt.Fprint(h, job)
		}
		_ = h.Sum64()
		p.done.Add(1)
	}
}

func startWorkerPool() {
	p := hold(&resizer{jobs: make(chan int)})
	for range 200 {
		go p.work()
	}
	go p.produce()
	await("jobs", func() bool { return p.done.Load() > 1000 })
}

// importer is a pipeline whose last stage is slow, so all before it wait to send
// most of the time.
type importer struct {
	lines  chan string
	parsed chan []string
	rows   chan [sha256.Size]byte
	stored atomic.Int64
}

func (p *importer) read(file int) {
	for line := 0; ; line++ {
		p.lines <- fmt.Sprintf("%d,%d,something", file, line)
	}
}

func (p *importer) parse() {
	for line := range p.lines {
		p.parsed <- strings.Split(line, ",")
	}
}

func (p *importer) transform() {
	for fields := range p.parsed {
		p.rows <- sha256.Sum256([]byte(strings.Join(fields, ";")))
	}
}

func (p *importer) store() {
	for range p.rows {
		time.Sleep(5 * time.Millisecond) // a transaction
		p.stored.Add(1)
	}
}

func startPipeline() {
	p := hold(&importer{
		lines: make(chan string, 10), parsed: make(chan []string, 10), rows: make(chan [sha256.Size]byte),
	})
	for file := range 20 {
		go p.read(file)
	}
	for range 8 {
		go p.parse()
		go p.transform()
	}
	go p.store()
	await("rows", func() bool { return p.stored.Load() > 100 })
}

// lru keeps so many pages, the ones used last.
type lru struct {
	mu     sync.Mutex // guards what follows
	order  *list.List // of *page, the latest first
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
	runtime.GC() // the heap profile is of the last but one
	for range 4 {
		go c.use(5 * time.Millisecond)
	}
	await("use", func() bool { return c.loaded.Load() > 4*lruPages+1000 })
}
