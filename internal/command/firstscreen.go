package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// FirstScreen writes what a person sees first: the vital signs, what stands out,
// and what the goroutines are doing. opened is the usage when the window was opened.
func FirstScreen(ctx context.Context, s Session, opened vitals.Usage) error {
	before := vitals.Read()
	before.Usage = opened // a moment earlier
	now := settle(ctx, before.Usage.At)
	writeVitals(s, before, now)
	if err := s.Flush(); err != nil {
		return err
	}
	return showStacks(ctx, s, stacksFlags{}, before)
}

// How long a program is watched before its CPU use is told. Between a signal and
// the client there may be less than a millisecond, in which the manhole itself
// is what runs, and the kernel adds up what runs on other CPUs in ticks of 1 to
// 10 ms only.
const measured = 50 * time.Millisecond

// settle takes the sample after one of that moment, soon if nothing else runs.
func settle(ctx context.Context, since time.Time) vitals.Sample {
	for _, enough := range []time.Duration{time.Millisecond, 3 * time.Millisecond, measured} {
		if rest := enough - time.Since(since); rest > 0 {
			select {
			case <-time.After(rest):
			case <-ctx.Done():
			}
		}
		if vitals.Running() <= 1 { // but for this goroutine nothing
			break
		}
	}
	return vitals.Read()
}

// writeVitals writes how the program is; before is when the window was opened.
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
	fmt.Fprintf(w, "\nmemory       heap %s, of which %s survived the last collection; %s from the system, %s\n",
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
