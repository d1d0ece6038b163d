package command

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"time"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/pprofdelta"
)

// profileCommands are the commands that produce a file for go tool pprof or go
// tool trace. The file is collected in memory and sent when it is complete, so a
// slow client or a slow disk cannot hold up the profiler.
var profileCommands = []*Command{
	{
		Name: "profile", Args: "[NAME] [-seconds N] [-o FILE]", Summary: "take a profile for go tool pprof; without NAME, list them",
		Help: "A cpu profile takes 30 seconds by default. With -seconds, heap, allocs, block and mutex show what changed in\n" +
			"that time. heap is the state of the last collection: run gc first for the present state. The file is binary:\n" +
			"write it with -o, or from a shell with oneshot PID profile NAME > FILE. block and mutex are empty until you\n" +
			"set their rates (blockrate, mutexfraction).\n" +
			"  -seconds N  how long, up to a day; it may be a fraction\n" +
			"  -o FILE     write to a new file with mode 0600",
		Flags: flagNames(new(recording).flags(maxProfileTime)),
		Words: profileNames,
		Run:   runProfile,
	},
	{
		Name: "trace", Args: "[-seconds N] [-o FILE]", Summary: "record an execution trace for go tool trace",
		Help: "A trace takes 5 seconds by default. It slows the program down by some percent. The file is binary: write it\n" +
			"with -o, or from a shell with oneshot PID trace > FILE. The trace is kept in memory, and ends at 256 MiB.\n" +
			"  -seconds N  how long, up to 600; it may be a fraction\n" +
			"  -o FILE     write to a new file with mode 0600",
		Flags: flagNames(new(recording).flags(maxTraceTime)),
		Run:   runTrace,
	},
}

// profileNames are the profiles that every program has.
var profileNames = []string{"cpu", "heap", "allocs", "block", "mutex", "goroutine", "threadcreate"}

const (
	cpuTime        = 30 * time.Second
	maxProfileTime = 24 * time.Hour
)

// recording is a request for a profile or a trace.
type recording struct {
	name string
	time time.Duration // 0: not given
	file string        // empty: to the client
}

// flags returns a function that defines the flags. most is the longest time that
// -seconds accepts.
func (r *recording) flags(most time.Duration) func(*flag.FlagSet) {
	return func(flags *flag.FlagSet) {
		flags.Func("seconds", "", func(value string) error {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil || !(n > 0 && n <= most.Seconds()) { // false for NaN, too
				return fmt.Errorf("give a number above 0 and not above %v", most.Seconds())
			}
			r.time = max(1, time.Duration(n*float64(time.Second)))
			return nil
		})
		flags.StringVar(&r.file, "o", "", "")
	}
}

// checkTarget checks before the recording whether its result can be delivered.
func (r *recording) checkTarget(s Session, what string) error {
	if r.file != "" {
		return checkNewFile(r.file)
	}
	if !s.Binary() {
		return fmt.Errorf("the answer is binary: %s -o FILE here, or oneshot PID %s > FILE from a shell", what, what)
	}
	return nil
}

// deliver writes the result. Once writing to a file has begun, the end of ctx does
// not stop it, so that the file is complete.
func (r *recording) deliver(ctx context.Context, s Session, pieces [][]byte) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.file != "" {
		return toFile(s, r.file, func(w io.Writer) error { return copyOut(context.Background(), w, pieces) })
	}
	return copyOut(ctx, s, pieces)
}

// copyOut writes in small pieces, so that it ends soon after ctx ends.
func copyOut(ctx context.Context, w io.Writer, pieces [][]byte) error {
	for _, piece := range pieces {
		for p := range slices.Chunk(piece, 64<<10) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// sleep waits for d and shows the progress. It returns sooner if early is closed or
// receives a value, or if ctx ends.
func sleep(ctx context.Context, s Session, what string, d time.Duration, early <-chan struct{}) error {
	s.Progress(func(so time.Duration) string {
		return fmt.Sprintf("%s: %.0f of %v s", what, min(so, d).Seconds(), d.Seconds())
	})
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-early:
	case <-t.C:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

func runProfile(ctx context.Context, s Session, args []string) error {
	var r recording
	rest, err := parseFlags("profile", args, r.flags(maxProfileTime))
	switch {
	case err != nil:
		return err
	case len(rest) > 1:
		return fmt.Errorf("profile: one profile at a time, not %q", rest)
	case len(rest) == 0 && (r.file != "" || r.time != 0):
		return errors.New("profile: give the name of a profile; profile without arguments lists them")
	case len(rest) == 0:
		return listProfiles(s)
	}
	r.name = rest[0]
	timed := r.name == "cpu" || pprofdelta.Has(r.name)
	switch {
	case !timed && pprof.Lookup(r.name) == nil && r.name == leakProfile:
		return errors.New("profile: this program has no goroutineleak profile; build it with Go 1.27, or with Go 1.26 and GOEXPERIMENT=goroutineleakprofile")
	case !timed && pprof.Lookup(r.name) == nil:
		return fmt.Errorf("profile: no profile %q; profile lists them", plaintext.Clip(r.name, 40))
	case !timed && r.time != 0:
		return fmt.Errorf("profile: %s is taken at once; leave -seconds to cpu, heap, allocs, block and mutex", r.name)
	}
	if err := r.checkTarget(s, "profile "+r.name); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if off := profileOff(r.name); off != "" {
		s.Remark("warning: " + off)
	}
	var data bytes.Buffer
	switch {
	case r.name == "cpu":
		if r.time == 0 {
			r.time = cpuTime
		}
		err = cpuProfile(ctx, s, &data, r.time)
	case r.time != 0:
		err = deltaProfile(ctx, s, &data, r.name, r.time)
	default:
		err = writeProfile(&data, r.name)
	}
	if err != nil {
		return err
	}
	return r.deliver(ctx, s, [][]byte{data.Bytes()})
}

// writeProfile takes a profile that needs no time span, and writes it.
func writeProfile(w io.Writer, name string) error {
	if name == leakProfile {
		// In Go 1.27.4 the first such profile after a goroutine profile lacks some
		// or all of the leaked goroutines in about 2 of 100 programs. The next
		// profile has them (findings/goroutineleak-first-profile.sh). So take two.
		if err := pprof.Lookup(name).WriteTo(io.Discard, 0); err != nil {
			return err
		}
	}
	return pprof.Lookup(name).WriteTo(w, 0)
}

// cpuProfile writes a CPU profile of the next d.
func cpuProfile(ctx context.Context, s Session, w io.Writer, d time.Duration) error {
	if err := pprof.StartCPUProfile(w); err != nil {
		return fmt.Errorf("profile: %w, by another session or by the program itself; try again when it has ended", err)
	}
	defer pprof.StopCPUProfile() // it returns when everything is written to w
	return sleep(ctx, s, "cpu profile", d, nil)
}

// deltaProfile writes what changes in a profile during the next d.
func deltaProfile(ctx context.Context, s Session, w io.Writer, name string, d time.Duration) error {
	before, err := pprofdelta.Take(name)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := sleep(ctx, s, name+" profile", d, nil); err != nil {
		return err
	}
	after, err := pprofdelta.Take(name)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return pprofdelta.Write(w, before, after)
}

// leakProfile is the name of the profile of leaked goroutines. Go 1.27 has it, and
// Go 1.26 with GOEXPERIMENT=goroutineleakprofile.
const leakProfile = "goroutineleak"

// profileTexts describe the profiles of the runtime.
var profileTexts = map[string]string{
	"allocs":       "what was allocated since the start, by place",
	"block":        "where goroutines waited for each other",
	"goroutine":    "the stacks of all goroutines",
	leakProfile:    "goroutines that nothing can wake any more; taking it runs two collections, which count them",
	"heap":         "what was in use at the last collection, by place",
	"mutex":        "where locks were held that others waited for",
	"threadcreate": "what has made new threads",
}

func listProfiles(s Session) error {
	fmt.Fprintf(s, "%-14s %8s  where the program computes, for %v by default\n", "cpu", "", cpuTime)
	for _, p := range pprof.Profiles() {
		text := profileTexts[p.Name()]
		if text == "" {
			text = "the program's own"
		}
		if off := profileOff(p.Name()); off != "" {
			text += "; " + off
		}
		count := strconv.Itoa(p.Count())
		if p.Name() == leakProfile && p.Count() == 0 {
			count = "" // none, or not counted yet: the runtime does not distinguish these
		}
		fmt.Fprintf(s, "%-14s %8s  %s\n", plaintext.Line(p.Name()), count, text)
	}
	_, err := io.WriteString(s, "take one with profile NAME -o FILE\n")
	return err
}

// profileOff returns a text if nothing is recorded for a profile. The text also
// says how to turn it on. It returns "" if the profile is on, or is always
// available.
func profileOff(name string) string {
	switch name {
	case "heap", "allocs":
		if runtime.MemProfileRate == 0 {
			return "memory profiling is off; only the program can turn it on, where it starts (runtime.MemProfileRate)"
		}
	case "mutex":
		if runtime.SetMutexProfileFraction(-1) == 0 {
			return "mutex profiling is off; mutexfraction N turns it on, 1 for all"
		}
	case "block":
		blockRate.mu.Lock()
		defer blockRate.mu.Unlock()
		switch {
		case blockRate.known && blockRate.rate == 0:
			return "block profiling is off; blockrate N turns it on, 1 for all"
		case !blockRate.known && pprof.Lookup("block").Count() == 0:
			return "block profiling is off, as it seems, for nothing was recorded; blockrate N turns it on, 1 for all"
		}
	}
	return ""
}
