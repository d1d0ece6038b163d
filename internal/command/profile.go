package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

// profileCommands are the commands that produce a file for go tool pprof or go
// tool trace. The file is collected in memory and sent when it is complete, so a
// slow client or a slow disk cannot hold up the profiler.
var profileCommands = []*Command{
	{
		Name: "profile", Args: "[NAME] [-seconds N] [-o FILE]", Summary: "take a profile for go tool pprof; without NAME, list them",
		Help: "A cpu profile takes 30 seconds by default. Where the program's own profiler runs already, oneshot PID profile cpu\n" +
			"takes the samples from a trace of up to 5 seconds instead. heap is the state after the last collection: run gc\n" +
			"first for the state now. The file is binary: write it with -o, or from a shell with oneshot PID profile NAME >\n" +
			"FILE. block and mutex are empty until you set their rates (blockrate, mutexfraction). With -seconds, heap, allocs,\n" +
			"block and mutex are taken twice, to see what changed in that time. From a shell you get the difference. With\n" +
			"-o there are two files: FILE, and FILE.base from the beginning. See the difference with go tool pprof -base\n" +
			"FILE.base FILE. Ctrl-C ends the time early, with what was recorded until then.\n" +
			"  -seconds N  how long, up to a day; it may be a fraction\n" +
			"  -o FILE     write to a new file with mode 0600\n" +
			"  -json       only without NAME: print the list as a JSON object, which docs/json.md describes",
		Flags: []string{"-seconds", "-o", jsonFlag}, Words: profileNames, Partial: true,
		Run: runProfile,
	},
	{
		Name: "trace", Args: "[-seconds N|-last] [-o FILE]", Summary: "record an execution trace for go tool trace",
		Help: "A trace takes 5 seconds by default. It slows the program down by some percent. The file is binary: write it\n" +
			"with -o, or from a shell with oneshot PID trace > FILE. The trace is kept in memory, and ends at 256 MiB.\n" +
			"Ctrl-C ends it early, with what was recorded until then.\n" +
			"  -seconds N  how long, up to 600; it may be a fraction\n" +
			"  -last       write what the program's own flight recorder has (Options.FlightRecorder)\n" +
			"  -o FILE     write to a new file with mode 0600",
		Flags: []string{"-seconds", "-o", "-last"}, Partial: true,
		Run: runTrace,
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

// options returns the flags. most is the maximum of -seconds.
func (r *recording) options(most time.Duration) []option {
	seconds := func(value string) error {
		// strconv.ParseFloat would be in most programs only for this.
		d, err := time.ParseDuration(value + "s")
		if err != nil || strings.Trim(value, digits+".") != "" || d <= 0 || d > most {
			return fmt.Errorf("give a number above 0 and at most %v", most.Seconds())
		}
		r.time = d
		return nil
	}
	return []option{{"seconds", seconds}, {"o", &r.file}}
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

// deliver writes the result, whole. After an interrupt it is what was recorded until
// then. If the client is gone, there is nobody to deliver to.
func (r *recording) deliver(ctx context.Context, s Session, pieces [][]byte) error {
	if ctx.Err() != nil && !interrupted(ctx) {
		return context.Cause(ctx)
	}
	if err := r.write(s, pieces); err != nil {
		return err
	}
	return cutShort(ctx)
}

// write writes the result.
func (r *recording) write(s Session, pieces [][]byte) error {
	if r.file != "" {
		return toFile(s, r.file, func(w io.Writer) error { return copyOut(w, pieces) })
	}
	return copyOut(s, pieces)
}

// cutShort returns an error after an interrupt, although the result was delivered.
func cutShort(ctx context.Context) error {
	if interrupted(ctx) {
		return fmt.Errorf("%w: it has what was recorded until then", ErrInterrupted)
	}
	return nil
}

// copyOut writes in small pieces, so that it ends soon after the client is gone.
func copyOut(w io.Writer, pieces [][]byte) error {
	for _, piece := range pieces {
		for p := range slices.Chunk(piece, 64<<10) {
			if _, err := w.Write(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// sleep waits for d and shows the progress. It returns sooner if early is closed or
// receives a value, or if ctx ends. An interrupt ends the recording and is no error.
func sleep(ctx context.Context, s Session, what string, d time.Duration, early <-chan struct{}) error {
	s.Progress(func(elapsed time.Duration) string {
		return fmt.Sprintf("%s: %.0f of %v s", what, min(elapsed, d).Seconds(), d.Seconds())
	})
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-early:
	case <-t.C:
	}
	if ctx.Err() != nil && !interrupted(ctx) {
		return context.Cause(ctx)
	}
	return nil
}

func runProfile(ctx context.Context, s Session, args []string) error {
	args, form := CutJSON(args)
	var r recording
	rest, err := parseFlags("profile", args, r.options(maxProfileTime)...)
	switch {
	case err != nil:
		return err
	case len(rest) > 1:
		return fmt.Errorf("profile: one profile at a time, not %q", rest)
	case len(rest) == 0 && (r.file != "" || r.time != 0):
		return errors.New("profile: give the name of a profile; profile without arguments lists them")
	case len(rest) == 0:
		return Show(ctx, s, listProfiles(), form)
	case form != AsText:
		return noJSON("profile", "a profile is a file for go tool pprof; profile -json lists the profiles")
	}
	r.name = rest[0]
	if err := r.checkName(); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if err := r.checkTarget(s, "profile "+r.name); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	if off := profileOff(r.name); off != "" {
		s.Remark("warning: " + off)
	}
	if r.time != 0 && slices.Contains(cumulative, r.name) {
		return r.runDifference(ctx, s)
	}
	var data bytes.Buffer
	if r.name == "cpu" {
		if r.time == 0 {
			r.time = cpuTime
		}
		err = cpuProfile(ctx, s, &data, r.time)
	} else {
		err = writeProfile(&data, r.name)
	}
	if err != nil {
		return err
	}
	return r.deliver(ctx, s, [][]byte{data.Bytes()})
}

// checkName returns an error if the program has no such profile, or if it takes no time.
func (r *recording) checkName() error {
	timed := r.name == "cpu" || slices.Contains(cumulative, r.name)
	switch {
	case timed:
		return nil
	case pprof.Lookup(r.name) == nil && r.name == leakProfile:
		return errors.New("this program has no goroutineleak profile; build it with Go 1.27, or with Go 1.26 and GOEXPERIMENT=goroutineleakprofile")
	case pprof.Lookup(r.name) == nil:
		return fmt.Errorf("no profile %q; profile lists them", plaintext.Clip(r.name, 40))
	case r.time != 0:
		return fmt.Errorf("%s takes no -seconds; only cpu, heap, allocs, block and mutex do", r.name)
	}
	return nil
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
		return fmt.Errorf("profile: %w, by another session or by the program itself; try again when it has ended; "+
			"from a shell, oneshot PID profile cpu then takes the samples from a trace", err)
	}
	defer pprof.StopCPUProfile() // it returns when everything is written to w
	return sleep(ctx, s, "cpu profile", d, nil)
}

// leakProfile is the name of the profile of leaked goroutines. Go 1.27 has it, and
// Go 1.26 with GOEXPERIMENT=goroutineleakprofile.
const leakProfile = "goroutineleak"
