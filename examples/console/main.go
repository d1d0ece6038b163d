//go:build unix

// Command console is a program that adds to its sessions: values with names, a
// command of its own, and expressions.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/eval"
)

// cache is a value that a session may want to look at.
type cache struct {
	Flushes atomic.Int64 // how often it was emptied

	mu      sync.Mutex
	entries map[string]string
}

// flush removes all entries and returns how many there were.
func (c *cache) flush() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Flushes.Add(1)
	n := len(c.entries)
	clear(c.entries)
	return n
}

// snapshot returns a copy of the entries, which can be read without the lock.
func (c *cache) snapshot() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.entries)
}

// conn is a client of the program.
type conn struct {
	Peer string
	Idle int // seconds
}

func main() {
	if err := run(); err != nil {
		slog.Error("console", "err", err)
		os.Exit(1)
	}
}

func run() error {
	users := &cache{entries: map[string]string{"1": "ada", "2": "grace"}}
	conns := []conn{{"10.0.0.7", 12}, {"10.0.0.9", 340}}
	level := new(slog.LevelVar)
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))

	m, err := oneshot.Install(oneshot.Options{
		OneshotOn:  syscall.SIGUSR2,
		NoReceiver: true,
		Locals: map[string]any{
			// What a func returns is shown whole, and expressions may call its methods. So it
			// must be a copy, made under the lock, or a value that needs no lock.
			"users": func() any { return users.snapshot() },
			"conns": func() any { return slices.Clone(conns) },
			"level": func() any { return level },
			// The program may write other values at any time, so a session reads only the
			// numbers in them.
			"cache": users,
			"debug": slog.LevelDebug,
			"began": time.Now(),
		},
		Commands: []oneshot.Command{
			{
				Name: "flush", Summary: "remove all users from the cache",
				Run: func(_ context.Context, s *oneshot.Session, args []string) error {
					if len(args) > 0 {
						return fmt.Errorf("flush: it takes no arguments, not %q", args)
					}
					_, err := fmt.Fprintf(s, "removed %d users\n", users.flush())
					return err
				},
			},
			oneshot.LevelCommand(level),
			eval.Command(), // every other line is an expression
		},
	})
	if err != nil {
		return err
	}
	defer m.Uninstall()
	fmt.Printf("to look inside:\n\n    kill -USR2 %d; for i in 1 2 3 4 5; do nc -U %s && break; sleep .1; done\n\n", os.Getpid(), m.Path())
	_, err = m.Wait(context.Background(), os.Interrupt, syscall.SIGTERM)
	return err
}
