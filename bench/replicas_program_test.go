//go:build linux

package bench

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// replica is a server like examples/trouble, with its own load: each request asks for a
// session under a lock, asks a backend, and publishes an event. It has no fault until it
// is asked for one.
type replica struct {
	mu       sync.Mutex
	sessions map[int]string

	events  chan int
	blocked chan struct{} // closed when the reader of the events stops

	faults struct {
		sync.Mutex
		leak, lock, memory, files bool
	}
	kept  [][]byte
	files []*os.File
}

// The faults that a replica can have.
var replicaFaults = []string{"leak", "lock", "events", "spin", "memory", "files"}

func replicaProgram() {
	_, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, Logger: slog.New(slog.DiscardHandler)})
	check(err)
	r := &replica{sessions: make(map[int]string), events: make(chan int, 100), blocked: make(chan struct{})}
	go r.drain()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() { check(http.Serve(l, r)) }()
	for range 12 {
		go sendRequests("http://" + l.Addr().String())
	}
	set := func(fault *bool) func() any {
		return func() any {
			r.faults.Lock()
			defer r.faults.Unlock()
			*fault = true
			return nil
		}
	}
	answerQuestions("ready", map[string]func() any{
		"leak": set(&r.faults.leak), "lock": set(&r.faults.lock), "memory": set(&r.faults.memory), "files": set(&r.faults.files),
		"events": func() any { close(r.blocked); return nil },
		"spin":   func() any { go spinOn(); return nil },
	})
}

func (r *replica) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	r.faults.Lock()
	leak, lock, memory, files := r.faults.leak, r.faults.lock, r.faults.memory, r.faults.files
	r.faults.Unlock()
	user := rand.IntN(100)
	r.session(user, lock)
	if err := r.quote(leak); err != nil {
		w.WriteHeader(http.StatusGatewayTimeout)
	}
	if memory {
		r.keep(fill(make([]byte, 1<<20)))
	}
	if files {
		r.open()
	}
	r.publish(user)
	_, _ = io.WriteString(w, "ok") // the client may be gone
}

// session returns the session of a user. With the fault, the holder of the lock waits for
// a slow backend.
func (r *replica) session(user int, fault bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault {
		time.Sleep(300 * time.Millisecond)
	}
	r.sessions[user] += "x"
	if len(r.sessions[user]) > 1000 {
		r.sessions[user] = ""
	}
	return r.sessions[user]
}

// quote asks a backend. With the fault, nobody receives the answer any more.
func (r *replica) quote(fault bool) error {
	answer := make(chan int)
	go ask(answer)
	if fault {
		return errors.New("too late")
	}
	<-answer
	return nil
}

func ask(answer chan<- int) {
	time.Sleep(time.Duration(rand.ExpFloat64() * float64(5*time.Millisecond)))
	answer <- rand.IntN(1000)
}

func (r *replica) keep(p []byte) {
	r.faults.Lock()
	defer r.faults.Unlock()
	if len(r.kept) < 200 {
		r.kept = append(r.kept, p)
	}
}

func (r *replica) open() {
	r.faults.Lock()
	defer r.faults.Unlock()
	if f, err := os.Open("/dev/null"); err == nil && len(r.files) < 500 {
		r.files = append(r.files, f)
	}
}

func (r *replica) publish(event int) { r.events <- event }

// drain reads the events.
func (r *replica) drain() {
	for {
		select {
		case <-r.events:
		case <-r.blocked:
			select {} // as if it waited for something else that never comes
		}
	}
}

func spinOn() {
	for n := uint64(0); ; n++ {
		spun = n
	}
}

var spun uint64

// sendRequests sends about 30 requests a second.
func sendRequests(url string) {
	client := &http.Client{Transport: &http.Transport{}}
	for {
		time.Sleep(time.Duration(rand.ExpFloat64() * float64(30*time.Millisecond)))
		answer, err := client.Get(url)
		if err != nil {
			continue
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}
