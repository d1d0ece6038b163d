//go:build linux

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/google/gops/agent"
)

// dumpProgram starts waiting goroutines, and dumps them for each client that
// connects to the address that it prints. A client fetches every kind of dump in
// the way of gops: it sends a byte and reads until the end of the connection. So
// all kinds have the same consumer.
func dumpProgram(way, goroutines string) {
	n, err := strconv.Atoi(goroutines)
	check(err)
	var address string
	switch way {
	case "oneshot":
		address = listen(func(w io.Writer) error { return oneshot.Dump(w, oneshot.DumpOptions{}) })
	case "gops":
		address = listenGops()
	case "pprof-debug1":
		address = listen(func(w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 1) })
	case "pprof-debug2":
		address = listen(func(w io.Writer) error { return pprof.Lookup("goroutine").WriteTo(w, 2) })
	case "busy":
		address = listen(compute)
	case "manhole": // the client opens it
		_, err := oneshot.Install(oneshot.Options{Logger: slog.New(slog.DiscardHandler)})
		check(err)
	default:
		check(fmt.Errorf("unknown way to dump: %q", way))
	}
	park(n)
	// Otherwise the dump would use the memory that is free after the goroutines were
	// started, and would seem to need no memory.
	debug.FreeOSMemory()
	var m meter
	answerQuestions(address, map[string]func() any{
		"begin": func() any { m.begin(); return nil },
		"end":   func() any { return m.end() },
		"serve": func() any { return serve() },
	})
}

func listen(dump func(io.Writer) error) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		for {
			conn, err := ln.Accept()
			check(err)
			_, err = io.ReadFull(conn, make([]byte, 1))
			check(err)
			check(dump(conn))
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

// compute is the control: it is not a dump. It keeps a CPU busy for about as long as
// our dump of 100,000 goroutines, without memory and locks.
func compute(w io.Writer) error {
	sum := 0
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
		sum++
	}
	_, err := fmt.Fprintln(w, sum)
	return err
}

// listenGops finds the port of the agent in a file, as the gops command does.
func listenGops() string {
	dir, err := os.MkdirTemp("", "gops")
	check(err)
	defer os.RemoveAll(dir) // now, because this program is killed later
	check(agent.Listen(agent.Options{Addr: "127.0.0.1:0", ConfigDir: dir}))
	port, err := os.ReadFile(filepath.Join(dir, strconv.Itoa(os.Getpid())))
	check(err)
	return "127.0.0.1:" + string(port)
}

// The goroutines wait in four ways, each 0 to 9 calls deep: 40 different stacks.
var (
	never, neither = make(chan int), make(chan int)
	lock           sync.Mutex
)

func park(n int) {
	lock.Lock()
	ways := []func(depth int){receive, choose, acquire, sleep}
	for i := range n {
		go ways[i%len(ways)](i / len(ways) % 10)
	}
	waiting := []metrics.Sample{{Name: "/sched/goroutines/waiting:goroutines"}}
	deadline := time.Now().Add(hang / 2)
	for metrics.Read(waiting); waiting[0].Value.Uint64() < uint64(n); metrics.Read(waiting) {
		if time.Now().After(deadline) {
			check(fmt.Errorf("after %v only %d of %d goroutines wait", hang/2, waiting[0].Value.Uint64(), n))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func receive(depth int) {
	if depth > 0 {
		receive(depth - 1)
		return
	}
	<-never
}

func choose(depth int) {
	if depth > 0 {
		choose(depth - 1)
		return
	}
	select {
	case <-never:
	case <-neither:
	}
}

func acquire(depth int) {
	if depth > 0 {
		acquire(depth - 1)
		return
	}
	lock.Lock()
	defer lock.Unlock()
}

func sleep(depth int) {
	if depth > 0 {
		sleep(depth - 1)
		return
	}
	time.Sleep(24 * time.Hour)
}

// serve answers HTTP requests with a small JSON document.
func serve() string {
	type item struct {
		ID          int
		Name, Notes string
		Prices      []float64
	}
	var order []item
	for i := range 20 {
		order = append(order, item{i, "name", "some words about it", []float64{1.5, 2.25, float64(i)}})
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		check(http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_ = json.NewEncoder(w).Encode(order) // the client notices an error
		})))
	}()
	return ln.Addr().String()
}

// cost is the cost of a dump for the program.
type cost struct {
	Stop   time.Duration // the longest stop of the world
	Gap    time.Duration // the longest time that a sleep of 1 ms took
	Memory int64         // the growth of the resident memory to its peak, in bytes
}

type meter struct {
	resident int64
	pauses   *metrics.Float64Histogram
	stop     chan struct{}
	watchers sync.WaitGroup
	// Only the watching goroutines use these fields until they are done.
	gap  time.Duration
	peak int64 // 0 if the kernel measures it
}

func (m *meter) begin() {
	m.stop, m.gap, m.peak = make(chan struct{}), 0, 0
	m.resident = status("VmRSS")
	// 5 resets VmHWM (proc_pid_clear_refs(5)). If this fails, sample the memory often.
	if os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) != nil {
		m.watchers.Go(m.sampleMemory)
	}
	m.watchers.Go(m.tick)
	m.pauses = pauses()
}

func (m *meter) end() cost {
	after := pauses()
	close(m.stop)
	m.watchers.Wait()
	if m.peak == 0 {
		m.peak = status("VmHWM")
	}
	c := cost{Gap: m.gap, Memory: max(m.peak-m.resident, 0)}
	for i, count := range after.Counts {
		if count == m.pauses.Counts[i] {
			continue
		}
		longest := after.Buckets[i+1]
		if math.IsInf(longest, 1) {
			longest = after.Buckets[i]
		}
		c.Stop = time.Duration(longest * 1e9)
	}
	return c
}

func (m *meter) ended() bool {
	select {
	case <-m.stop:
		return true
	default:
		return false
	}
}

func (m *meter) tick() {
	for last := time.Now(); !m.ended(); {
		time.Sleep(time.Millisecond)
		now := time.Now()
		m.gap = max(m.gap, now.Sub(last))
		last = now
	}
}

func (m *meter) sampleMemory() {
	for !m.ended() {
		m.peak = max(m.peak, status("VmRSS"))
		time.Sleep(5 * time.Millisecond)
	}
}

// pauses reads the stops of the world, except for garbage collections.
func pauses() *metrics.Float64Histogram {
	sample := []metrics.Sample{{Name: "/sched/pauses/total/other:seconds"}}
	metrics.Read(sample)
	return sample[0].Value.Float64Histogram()
}

// status returns the value of a line of /proc/self/status, in bytes.
func status(key string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	check(err)
	return kilobytes(text, key)
}

func kilobytes(text []byte, key string) int64 {
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		if string(name) != key {
			continue
		}
		kb, err := strconv.ParseInt(string(bytes.Fields(value)[0]), 10, 64)
		check(err)
		return kb << 10
	}
	return 0
}
