//go:build unix

// Command trouble is a service with three faults, to try out the manhole. It leaks
// goroutines. Its sessions queue for a lock, and the holder of the lock waits for a
// backend. Its events fill a channel.
package main

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

func main() {
	if err := run(); err != nil {
		slog.Error("trouble ends", "err", err)
		os.Exit(1)
	}
}

func run() error {
	level := new(slog.LevelVar)
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	m, err := oneshot.Install(oneshot.Options{
		OneshotOn: syscall.SIGUSR2,
		ReportOn:  syscall.SIGUSR1,
		Commands:  []oneshot.Command{oneshot.LevelCommand(level)},
	})
	if err != nil {
		return err
	}
	defer m.Uninstall()

	s := &sessions{users: make(map[int]string)}
	events := make(chan int, 100)
	go audit(events, s)
	for id := range 60 {
		go s.user(id)
	}
	for range 50 {
		go produce(events)
	}
	for id := range 200 {
		quote(id)
	}
	pid := os.Getpid()
	fmt.Printf("everything is stuck; to see why:\n\n    kill -USR2 %d; for i in 1 2 3 4 5; do nc -U /tmp/manhole-%d && break; sleep .1; done\n\n", pid, pid)
	for id := 0; ; id++ {
		quote(id)
		time.Sleep(50 * time.Millisecond)
	}
}

// quote gives up on a slow source. Its goroutine can then never send the answer.
func quote(id int) (price int) {
	answer := make(chan int)
	go func() {
		time.Sleep(time.Millisecond)
		answer <- id * 7
	}()
	select {
	case price = <-answer:
	case <-time.After(time.Microsecond):
		slog.Debug("the source was too slow", "quote", id)
	}
	return price
}

// sessions is a cache in front of a backend.
type sessions struct {
	mu    sync.Mutex
	users map[int]string
}

func (s *sessions) user(id int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.users[id]; ok {
		return name
	}
	s.users[id] = ask(id) // while it holds the lock
	return s.users[id]
}

// ask calls a backend that no longer answers.
func ask(id int) string {
	time.Sleep(time.Hour)
	return fmt.Sprint("user ", id)
}

// audit reads the events, until it needs the name of a user.
func audit(events <-chan int, s *sessions) {
	for e := range events {
		slog.Info("event", "number", e, "user", s.user(e))
	}
}

func produce(events chan<- int) {
	for e := 0; ; e++ {
		events <- e
	}
}
