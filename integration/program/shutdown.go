//go:build linux

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// Programs whose shutdown hangs. Each waits for SIGTERM in another way.

func init() {
	for name, wait := range map[string]func(m *oneshot.Manhole){
		"receiver": func(*oneshot.Manhole) {
			c := make(chan os.Signal, 1)
			signal.Notify(c, syscall.SIGTERM)
			ready()
			<-c
		},
		"wait": func(m *oneshot.Manhole) {
			ready()
			_, _ = m.Wait(context.Background(), syscall.SIGTERM)
		},
		"context": func(m *oneshot.Manhole) { // the manhole is not subscribed to the signal
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
			ready()
			_, _ = m.Wait(ctx)
			stop()
		},
		"handle": func(m *oneshot.Manhole) {
			c := make(chan os.Signal, 8)
			signal.Notify(c, append(m.Signals(), syscall.SIGTERM)...)
			ready()
			for m.Handle(<-c) {
			}
		},
		"loop": func(m *oneshot.Manhole) { // which goes on after the signal
			c := make(chan os.Signal, 8)
			signal.Notify(c, append(m.Signals(), syscall.SIGTERM)...)
			go func() {
				for {
					m.Handle(<-c)
				}
			}()
			ready()
		},
	} {
		conditions["shutdown-"+name] = func(args []string) {
			piled.Lock()
			for range 1000 {
				go func() { pile() }()
			}
			m := install(func(o *oneshot.Options) {
				o.NoReceiver = name != "receiver"
				o.ShutdownReport = 300 * time.Millisecond
				if len(args) > 0 {
					o.TriggerFile = args[0]
				}
			})
			wait(m)
			closeDatabase()
		}
	}
}

// closeDatabase waits for ever.
func closeDatabase() { <-make(chan int) }
