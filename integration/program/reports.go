//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// Programs that write reports. Each has a thousand goroutines that wait at one place.

func init() {
	for name, set := range map[string]func(*oneshot.Options){
		"receiver": func(*oneshot.Options) {},
		"wait":     func(o *oneshot.Options) { o.NoReceiver = true },
		"handle":   func(o *oneshot.Options) { o.NoReceiver = true },
		"nobody": func(o *oneshot.Options) { // a window opens first
			o.ReportOn, o.ConnectTimeout = o.OneshotOn, 200*time.Millisecond
		},
		"soon": func(o *oneshot.Options) { // and stays open after the report
			o.ReportOn, o.ReportAfter = o.OneshotOn, 200*time.Millisecond
		},
		"nowhere": func(o *oneshot.Options) { // no window can open
			o.ReportOn = o.OneshotOn
		},
		"trigger": func(o *oneshot.Options) { o.TriggerFile = os.Getenv("TRIGGER") },
	} {
		conditions["reports-"+name] = func([]string) {
			piled.Lock()
			for range 1000 {
				go func() { pile() }()
			}
			m := install(func(o *oneshot.Options) { o.ReportOn, o.ReportDir = syscall.SIGUSR1, os.Getenv("REPORT_DIR") }, set)
			c := make(chan os.Signal, 16) // os/signal drops a signal for which there is no room
			if name == "handle" {
				signal.Notify(c, m.Signals()...)
			}
			ready()
			switch name {
			case "wait":
				sig, _ := m.Wait(context.Background(), syscall.SIGTERM)
				fmt.Fprintln(os.Stderr, "ends by", sig)
				return
			case "handle":
				for sig := range c {
					m.Handle(sig)
				}
			}
			select {}
		}
	}
}

// piled is a lock that nobody gives back.
var piled sync.Mutex

// pile is where the goroutines wait.
func pile() { piled.Lock() }
