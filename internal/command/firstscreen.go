package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// FirstScreen writes the screen that a person sees first: the vital signs, the
// findings, and what the goroutines are doing. opened is the CPU usage at the time
// when the window was opened.
func FirstScreen(ctx context.Context, s Session, opened vitals.Usage) error {
	before := vitals.Read()
	if before.At.Sub(opened.At) >= measured { // in a shorter time, mostly the manhole itself has run
		before.Usage = opened
	}
	now := settle(ctx, before.Usage.At)
	writeVitals(s, before, now)
	if err := s.Flush(); err != nil {
		return err
	}
	return showStacks(ctx, s, stacksFlags{}, before)
}

// The CPU use is measured over one of these times. The kernel accounts for the time
// on other CPUs only in ticks of 1 to 10 ms. The manhole waits meanwhile, so that its
// own work does not count.
const (
	measuredIdle = 11 * time.Millisecond // if no other goroutine runs
	measured     = 50 * time.Millisecond
)

// settle takes the second sample; the first was taken at since.
func settle(ctx context.Context, since time.Time) vitals.Sample {
	for _, enough := range []time.Duration{measuredIdle, measured} {
		if rest := enough - time.Since(since); rest > 0 {
			select {
			case <-time.After(rest):
			case <-ctx.Done():
			}
		}
		if vitals.Running() <= 1 { // only this goroutine
			break
		}
	}
	return vitals.Read()
}

// writeVitals writes the vital signs of the program. before is the sample from the
// time when the window was opened.
func writeVitals(w io.Writer, before, now vitals.Sample) {
	busy, user := vitals.CPUs(before.Usage, now.Usage)
	fmt.Fprintf(w, "\nCPU          %.1f of %d for the last %v", busy, now.Procs, plaintext.Duration(now.Usage.At.Sub(before.Usage.At)))
	if busy >= 0.1 {
		fmt.Fprintf(w, ", %.0f%% of it outside the kernel", 100*user)
	}
	if now.TotalCPU > 0 {
		fmt.Fprintf(w, "; the collector had %.1f%% since the start", 100*now.CollectorCPU/now.TotalCPU)
	}
	limit := "no limit"
	if now.Limit < vitals.NoLimit {
		limit = "limit " + vitals.Bytes(now.Limit)
	}
	fmt.Fprintf(w, "\nmemory       heap %s in use, %s left by the last collection; %s from the system, %s\n",
		vitals.Bytes(now.HeapObjects), vitals.Bytes(now.LiveHeap), vitals.Bytes(now.InUse()), limit)
	fmt.Fprintf(w, "goroutines   %d: %d running, %d runnable, %d waiting, %d in system calls; %d threads\n",
		now.Goroutines, now.Running, now.Runnable, now.Waiting, now.InSyscall, now.Threads)
	if d, err := vitals.ReadDescriptors(); err == nil {
		fmt.Fprintf(w, "descriptors  %d of %d\n", d.Open, d.Limit)
	}
	if l := vitals.Latency(vitals.Sample{}, now); l > 0 {
		fmt.Fprintf(w, "scheduling   since the start 99%% of goroutines waited less than %v for a CPU", plaintext.Duration(l))
		if just := vitals.Latency(before, now); just > 0 {
			fmt.Fprintf(w, ", just now %v", plaintext.Duration(just))
		}
		fmt.Fprintln(w)
	}
}
