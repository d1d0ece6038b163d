//go:build linux

package bench

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const loadConnections = 8

// The loads, by the time between the requests of one connection. With the light
// load there are 1,600 requests per second in total, and most of them find an idle
// CPU. With the full load there are as many as the program can answer, one at a time
// on each connection.
const (
	loadLight = 5 * time.Millisecond
	loadFull  = 0
)

// latencies contains the results of a window of the load.
type latencies struct {
	Requests      int
	P50, P99, Max time.Duration
}

// loadProgram sends HTTP requests to address between the questions begin and end,
// at the interval. In the light load each request has its time, even if the server
// has not answered the requests before. The latency counts from this time. So if
// the server stops for a second, not one request is late but 1,600.
func loadProgram(address, every string) {
	interval, err := time.ParseDuration(every)
	check(err)
	// Each connection is a thread in blocking system calls. The kernel wakes it within
	// microseconds; Go's timers and poller would add a millisecond. There is a P for
	// each thread, so no thread waits for another's.
	runtime.GOMAXPROCS(2 * loadConnections)
	debug.SetGCPercent(-1) // the collector waits for the end of the window

	var (
		workers [loadConnections]*worker
		running sync.WaitGroup
	)
	for i := range workers {
		workers[i] = dialBlocking(address)
	}
	stop := make(chan struct{})
	answerQuestions("ready", map[string]func() any{
		"begin": func() any {
			stop = make(chan struct{})
			now := time.Now()
			for i, w := range workers {
				first := now.Add(time.Duration(i) * interval / loadConnections)
				running.Go(func() { w.send(first, interval, stop) })
			}
			return nil
		},
		"end": func() any {
			close(stop)
			running.Wait()
			var all []time.Duration
			for _, w := range workers {
				all = append(all, w.latencies...)
			}
			slices.Sort(all)
			runtime.GC()
			return latencies{len(all), all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
		},
	})
}

type worker struct {
	conn      *os.File
	latencies []time.Duration
}

func dialBlocking(address string) *worker {
	to, err := net.ResolveTCPAddr("tcp", address)
	check(err)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	check(unix.Connect(fd, &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}))
	return &worker{conn: os.NewFile(uintptr(fd), "connection")}
}

// send sends requests until stop is closed, and after that all requests whose time
// was before.
func (w *worker) send(at time.Time, interval time.Duration, stop <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	in := bufio.NewReader(w.conn)
	w.latencies = w.latencies[:0]
	for ; ; at = at.Add(interval) {
		if interval == loadFull {
			at = time.Now()
			select {
			case <-stop:
				return
			default:
			}
		}
		for wait := time.Until(at); wait > 0; wait = time.Until(at) {
			select {
			case <-stop:
				return
			default:
			}
			pause := unix.NsecToTimespec(wait.Nanoseconds())
			_ = unix.Nanosleep(&pause, nil) // a signal of Go's runtime may interrupt it; the loop then sleeps the rest
		}
		_, err := io.WriteString(w.conn, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
		check(err)
		answer, err := http.ReadResponse(in, nil)
		check(err)
		n, err := io.Copy(io.Discard, answer.Body)
		check(err)
		if answer.StatusCode != http.StatusOK || n == 0 {
			check(fmt.Errorf("%s, %d bytes", answer.Status, n))
		}
		w.latencies = append(w.latencies, time.Since(at))
	}
}
