//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

func init() {
	conditions["terminating"] = terminating
}

// terminating handles SIGTERM itself: it takes a moment and then exits with
// status 3. The argument says who receives the manhole's signals: "receiver" is the
// manhole's own goroutine, "wait" is main, in Manhole.Wait.
func terminating(args []string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	m := install(func(o *oneshot.Options) { o.NoReceiver = args[0] == "wait" })
	ready()
	if args[0] == "wait" {
		// The signal may have come before Wait. Then ctx ends it.
		if sig, err := m.Wait(ctx, syscall.SIGTERM); sig != syscall.SIGTERM && ctx.Err() == nil {
			fail(fmt.Errorf("waited for SIGTERM; Wait returned %v, %w", sig, err))
		}
	} else {
		<-ctx.Done()
	}
	stop()
	time.Sleep(2 * time.Millisecond) // the test is about what happens in this moment
	_ = m.Uninstall()                // a window may have opened since
	os.Exit(3)
}
