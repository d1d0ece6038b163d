package command

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// FirstScreen writes the screen that a person sees first: the vital signs, the
// findings, and what the goroutines are doing. opened is the CPU usage at the time
// when the window was opened. If all is true, it writes as much as the command stacks.
func FirstScreen(ctx context.Context, s Session, opened vitals.Usage, all bool) error {
	return showScreen(ctx, s, opened, stacksFlags{}, !all)
}

// ShutdownScreen writes the vital signs, where main is, the findings and all groups. It
// is about a program that should have ended: what it waits for is often one goroutine.
func ShutdownScreen(ctx context.Context, s Session, opened vitals.Usage) error {
	f := stacksFlags{main: true}
	f.Groups = -1
	return showScreen(ctx, s, opened, f, false)
}

func showScreen(ctx context.Context, s Session, opened vitals.Usage, f stacksFlags, brief bool) error {
	a, err := findScreen(ctx, s, opened, f, brief)
	if err != nil {
		return err
	}
	return Show(ctx, s, a, AsText)
}

// findScreen writes the vital signs, since the rest may have to wait for the program, and
// returns the rest.
func findScreen(ctx context.Context, s Session, opened vitals.Usage, f stacksFlags, brief bool) (*StacksAnswer, error) {
	before := vitals.Read()
	if before.At.Sub(opened.At) >= cpuWindow { // in a shorter time, mostly the manhole itself has run
		before.Usage = opened
	}
	now, descriptors := readVitals(ctx, before)
	writeVitals(s, before, now, descriptors)
	if err := s.Flush(); err != nil {
		return nil, err
	}
	a, err := findStacks(ctx, s, f, before)
	if err != nil {
		return nil, err
	}
	if brief {
		a.AsScreen(vitalsOf(before, now, descriptors))
	}
	return a, nil
}

// readVitals reads the vital signs. before is the sample from the beginning of the time
// over which the CPU use is measured.
func readVitals(ctx context.Context, before vitals.Sample) (now vitals.Sample, d vitals.Descriptors) {
	now = settle(ctx, before.Usage.At)
	d, _ = vitals.ReadDescriptors() // zero if it is not known
	return now, d
}

// screenCommand shows the first screen once more. With it, scripts get the first screen.
var screenCommand = &Command{
	Name: "screen", Summary: "show the first screen again: vital signs, what stands out, the largest groups",
	Help:  "It is the screen that a session begins with, as things are now." + jsonHelp,
	Flags: []string{jsonFlag},
	Run:   answers(findScreenAgain),
}

func findScreenAgain(ctx context.Context, s Session, args []string) (Answer, error) {
	return NoArgs(func(ctx context.Context, s Session) (Answer, error) {
		a, err := findScreen(ctx, s, vitals.ReadUsage(), stacksFlags{}, true)
		if err != nil {
			return nil, err
		}
		return a, nil
	})(ctx, s, args)
}

// The CPU use is measured over one of these times. The kernel accounts for the time
// on other CPUs only in ticks of 1 to 10 ms. The manhole waits meanwhile, so that its
// own work does not count.
const (
	cpuWindowIdle = 11 * time.Millisecond // if no other goroutine runs
	cpuWindow     = 50 * time.Millisecond
)

// settle takes the second sample; the first was taken at since.
func settle(ctx context.Context, since time.Time) vitals.Sample {
	for _, enough := range []time.Duration{cpuWindowIdle, cpuWindow} {
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

// width is the width of the lines with the vital signs.
const width = 80

// fit appends each of the parts to a line if there is room for it.
func fit(line string, parts ...string) string {
	for _, part := range parts {
		if len(line)+len(part) <= width {
			line += part
		}
	}
	return line
}

// writeVitals writes the vital signs of the program in three lines. before is the
// sample from the time when the window was opened. Numbers that say nothing are left
// out.
func writeVitals(w io.Writer, before, now vitals.Sample, d vitals.Descriptors) {
	fmt.Fprintf(w, "%s\n%s\n%s\n", cpuLine(before, now), goroutinesLine(now), memoryLine(now, d))
}

// vitalsOf returns the vital signs for a document.
func vitalsOf(before, now vitals.Sample, d vitals.Descriptors) *document.Vitals {
	v := &document.Vitals{
		CPU:        cpuOf(before, now),
		Goroutines: document.States{Total: now.Goroutines, Running: now.Running, Runnable: now.Runnable, Waiting: now.Waiting, InSyscall: now.InSyscall},
		Threads:    now.Threads,
		Memory:     document.Memory{Heap: now.HeapObjects, InUse: now.InUse(), Stacks: now.Stacks},
	}
	if now.Limit < vitals.NoLimit {
		v.Memory.Limit = now.Limit
	}
	if d.Open > 0 {
		v.Descriptors = &document.Descriptors{Open: d.Open, Limit: d.Limit}
	}
	return v
}

func cpuOf(before, now vitals.Sample) document.CPU {
	busy, user := vitals.CPUs(before.Usage, now.Usage)
	c := document.CPU{
		Busy: busy, User: user, Procs: now.Procs, Seconds: now.Usage.At.Sub(before.Usage.At).Seconds(),
		Latency: vitals.Latency(before, now).Seconds(), Total: (now.Usage.User + now.Usage.System).Seconds(),
	}
	if now.TotalCPU > 0 {
		c.Collector = now.CollectorCPU / now.TotalCPU
	}
	return c
}

func cpuLine(before, now vitals.Sample) string {
	var parts []string
	if share := now.CollectorCPU / now.TotalCPU; share >= 0.01 { // false if TotalCPU is not known
		parts = append(parts, fmt.Sprintf("; collector %.0f%% so far", 100*share))
	}
	if late := vitals.Latency(before, now); late >= time.Millisecond {
		parts = append(parts, fmt.Sprintf("; 99%% wait under %v for a CPU", plaintext.Duration(late)))
	}
	return fit(cpuText(before, now), parts...)
}

// cpuText begins the line with the CPU use.
func cpuText(before, now vitals.Sample) string {
	busy, user := vitals.CPUs(before.Usage, now.Usage)
	text := fmt.Sprintf("CPU %.1f of %d for the last %v", busy, now.Procs, plaintext.Duration(now.Usage.At.Sub(before.Usage.At)))
	if busy >= 0.1 {
		text += fmt.Sprintf(", %.0f%% of it outside the kernel", 100*user)
	}
	return text
}

func goroutinesLine(now vitals.Sample) string {
	text := fmt.Sprintf("goroutines %d", now.Goroutines)
	separator := ": "
	for _, state := range []struct {
		n    uint64
		name string
	}{{now.Running, "running"}, {now.Runnable, "runnable"}, {now.Waiting, "waiting"}, {now.InSyscall, "in syscalls"}} {
		if state.n > 0 {
			text += fmt.Sprintf("%s%d %s", separator, state.n, state.name)
			separator = ", "
		}
	}
	return fit(text, "; "+plaintext.Plural(int(now.Threads), "thread"))
}

func memoryLine(now vitals.Sample, d vitals.Descriptors) string {
	limit := "no limit"
	if now.Limit < vitals.NoLimit {
		limit = "limit " + vitals.Bytes(now.Limit)
	}
	text := fmt.Sprintf("memory heap %s, %s in all, %s", vitals.Bytes(now.HeapObjects), vitals.Bytes(now.InUse()), limit)
	return withDescriptors(text, d)
}

// withDescriptors appends the number of descriptors to a line.
func withDescriptors(text string, d vitals.Descriptors) string {
	if d.Limit <= 0 {
		return text
	}
	if line := fit(text, fmt.Sprintf("; %d of %d descriptors", d.Open, d.Limit)); line != text {
		return line
	}
	return fit(text, "; "+plaintext.Plural(int(d.Open), "descriptor"))
}
