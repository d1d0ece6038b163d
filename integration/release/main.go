//go:build linux

// Program release has goroutines with labels, leaks and ancestors. The test
// TestTracebackFormats builds it in a module of its own. The go line of
// that module's go.mod decides how the runtime writes tracebacks.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// How many goroutines there are of each kind.
const (
	labelled = 20
	leaking  = 60
	waiting  = 23
)

// wait is the channel of the healthy goroutines. It is global, so the collector sees that
// it is in use.
var wait = make(chan struct{})

func main() {
	for i := range labelled {
		labels := pprof.Labels("tenant", "acme", "request", fmt.Sprintf("GET /%d?a=[b]: \"c\"", i%2))
		pprof.Do(context.Background(), labels, func(context.Context) { go handle() })
	}
	for range leaking {
		quote()
	}
	for range waiting {
		go idle()
	}
	for deadline := time.Now().Add(30 * time.Second); !parked(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			fail("the goroutines do not all wait")
		}
	}
	_, err := oneshot.Install(oneshot.Options{
		OneshotOn: syscall.SIGUSR2,
		Commands:  []oneshot.Command{{Name: "count", Summary: "dump, and count the goroutines", Run: count}},
	})
	if err != nil {
		fail(err)
	}
	fmt.Println("ready")
	select {}
}

func fail(what any) {
	fmt.Fprintln(os.Stderr, what)
	os.Exit(1)
}

//go:noinline
func handle() { <-wait }

//go:noinline
func idle() { <-wait }

// quote leaks a goroutine: nobody receives from its channel.
//
//go:noinline
func quote() {
	prices := make(chan int)
	go func() { prices <- 1 }()
}

// parked reports whether the goroutines of each kind wait in one place.
func parked() bool {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		fail(err)
	}
	for _, start := range []string{fmt.Sprintf("\n%d @", leaking), fmt.Sprintf("\n%d @", waiting), fmt.Sprintf("\n%d @", labelled/2)} {
		if !bytes.Contains(b.Bytes(), []byte(start)) {
			return false
		}
	}
	return true
}

// count writes a dump of all goroutines and the number of goroutines.
func count(_ context.Context, s *oneshot.Session, _ []string) error {
	for range 1000 {
		before := runtime.NumGoroutine()
		var dump bytes.Buffer
		if err := oneshot.Dump(&dump, oneshot.DumpOptions{Groups: -1}); err != nil {
			return err
		}
		if runtime.NumGoroutine() == before {
			_, err := fmt.Fprintf(s, "%sNumGoroutine is %d\n", &dump, before)
			return err
		}
	}
	return fmt.Errorf("the number of goroutines keeps changing")
}
