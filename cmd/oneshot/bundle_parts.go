//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/difference"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/stackprofile"
	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/leakproof"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// How long a part may take besides the time that it records.
const (
	quickTime = 10 * time.Second // for files and small answers
	longTime  = 60 * time.Second // for all goroutines and for profiles
)

// maxFile is how much is read of one file of the kernel, or of a list, in bytes.
const maxFile = 1 << 20

// traceTime is the time of the trace, if -for is not shorter.
const traceTime = time.Second

// maxLeaksStop is how long a proof of leaks may stop the program without -leaks.
const maxLeaksStop = time.Millisecond

// deltas are the profiles that are taken at the beginning and at the end.
var deltas = []string{"heap", "allocs", "block", "mutex"}

// tasks returns what to do, from what costs the program least to what costs most.
func (b *bundler) tasks(ctx context.Context) (tasks []bundle.Task) {
	add := func(more ...bundle.Task) { tasks = append(tasks, more...) }
	dir := "/proc/" + strconv.Itoa(b.process.PID)
	for _, name := range []string{"status", "limits", "cgroup", "stat", "schedstat", "io"} {
		add(b.files("proc/"+name, func() ([]string, error) { return []string{dir + "/" + name}, nil }))
	}
	own := b.sections(ctx)
	add(b.files("cgroup.txt", func() ([]string, error) { return cgroupFiles(dir) }),
		b.files("pressure.txt", func() ([]string, error) { return filepath.Glob("/proc/pressure/*") }),
		b.command("build.txt", quickTime, "build"), b.env(),
		b.settings(),
		b.command("signals.txt", quickTime, "signals"),
		b.metrics("metrics.txt"), b.command("metrics.json", quickTime, "metrics", "-json"),
		b.command("mem.txt", quickTime, "mem"),
		b.command("threads.txt", quickTime, "threads", "-n", "0"), b.command("threads.json", quickTime, "threads", "-n", "0", "-json"),
		b.command("fds.txt", longTime, "fds", "-n", "0"), b.command("fds.json", longTime, "fds", "-n", "0", "-json"))
	// The first screen has had leaks proved, which the runtime remembers: no garbage is
	// collected once more.
	add(b.both("screen", "screen"))
	add(b.both("stacks", "stacks", "-n", "0", "-nogc"))
	for i, part := range sectionParts(own) {
		add(b.command(part, quickTime, "sections", own[i]))
	}
	for _, name := range append(slices.Clone(deltas), "threadcreate") {
		add(b.profile(name))
	}
	add(b.goroutineProfile(),
		b.recorded("trace-last", 0, "trace", "-last"),
		b.cpu())
	if !b.outside {
		for _, name := range deltas {
			add(b.delta(name))
		}
	}
	add(b.metrics("metrics-later.txt"), b.command("metrics-later.json", quickTime, "metrics", "-json"),
		b.trace(),
		b.leaks())
	return tasks
}

// maxSections is how many sections of the program may be in a bundle.
const maxSections = 200

// sections returns the names of the program's own parts. An earlier version of the program
// has none.
func (b *bundler) sections(ctx context.Context) []string {
	var list bytes.Buffer
	if !b.outside {
		ctx, cancel := context.WithTimeout(ctx, quickTime)
		defer cancel()
		if _, err := b.run(ctx, &limited{w: &list, left: maxFile}, "sections", "-json"); err != nil {
			return nil
		}
	}
	var sections document.Lines
	if err := json.Unmarshal(list.Bytes(), &sections); err != nil {
		return nil
	}
	return sections.Lines[:min(len(sections.Lines), maxSections)]
}

// sectionParts returns the names of the parts for sections, which can have any name.
func sectionParts(names []string) (parts []string) {
	for _, name := range names {
		plain := "sections/" + cmp.Or(strings.Trim(plainName(name), "."), "_")
		part := plain
		for n := 2; slices.Contains(parts, part); n++ {
			part = fmt.Sprintf("%s-%d", plain, n)
		}
		parts = append(parts, part)
	}
	return parts
}

// command returns the task to run a command.
func (b *bundler) command(name string, limit time.Duration, words ...string) bundle.Task {
	object := strings.HasSuffix(name, ".json")
	return bundle.Task{
		Name: name, Command: commandLine(words), Limit: limit, Whole: object,
		Make: func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
			o, err := b.run(ctx, w, words...)
			o.Complete = o.Complete && !(object && err != nil) // unlike a profile, it is not whole after an interrupt
			return o, err
		},
	}
}

// recorded returns the task to record something for a time; 0 means no time.
func (b *bundler) recorded(name string, d time.Duration, words ...string) bundle.Task {
	if d > 0 {
		words = append(words, "-seconds", strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	}
	t := b.command(name, longTime+d, words...)
	t.Whole = true
	return t
}

// profile returns the task to take a profile. If nothing is recorded for it, it is left out.
func (b *bundler) profile(name string) bundle.Task {
	t := b.recorded("profiles/"+name+".pb.gz", 0, "profile", name)
	run := t.Make
	t.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		kept := new(bytes.Buffer)
		o, err := run(ctx, io.MultiWriter(w, kept))
		if err == nil && strings.Contains(o.Remark, " off") {
			o.LeaveOut, err = true, errors.New(o.Remark)
			o.Remark = ""
		}
		if err == nil && slices.Contains(deltas, name) {
			b.before[name] = kept.Bytes()
		}
		return o, err
	}
	return t
}

// both returns the tasks to write an answer as JSON and as text. The program is asked once,
// because to find the answer can be a burden for it.
func (b *bundler) both(name string, words ...string) (asJSON, asText bundle.Task) {
	var text []byte
	older := slices.DeleteFunc(slices.Clone(words), func(word string) bool { return word == "-nogc" }) // earlier versions
	flag := "-json=text"
	if b.outside { // to read it is a burden for nobody, and some of the text is not of the answer
		flag = "-json"
	}
	asJSON = b.command(name+".json", longTime, append(slices.Clone(words), flag)...)
	run := asJSON.Make
	asJSON.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		answer := &bounded{most: 2 * bundle.MaxPart} // both forms
		o, err := run(ctx, answer)
		object := answer.Bytes()
		if err == nil && !b.outside {
			object, text, err = splitAnswer(object)
		} else if isUnknownFlag(err) {
			answer.Reset()
			o, err = b.command(asJSON.Name, longTime, append(older, "-json")...).Make(ctx, answer)
			object = answer.Bytes()
		}
		if name == "stacks" && err == nil {
			b.stacksJSON = object
		}
		_, writeErr := w.Write(object)
		return o, cmp.Or(err, writeErr)
	}
	asText = b.command(name+".txt", longTime, words...)
	again := asText.Make
	asText.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		if text == nil {
			o, err := again(ctx, w)
			if isUnknownFlag(err) {
				o, err = b.run(ctx, w, older...)
			}
			return o, err
		}
		_, err := w.Write(text)
		return bundle.Outcome{Remark: "of the same moment as " + asJSON.Name}, err
	}
	return asJSON, asText
}

// splitAnswer splits the answer to -json=text, which a program can make as it likes.
func splitAnswer(answer []byte) (object, text []byte, err error) {
	objects := json.NewDecoder(bytes.NewReader(answer))
	if err := objects.Decode(new(json.RawMessage)); err != nil {
		return nil, nil, fmt.Errorf("the program has sent JSON that cannot be read: %w", err)
	}
	n := min(int(objects.InputOffset())+len("\n"), len(answer))
	return answer[:n], answer[n:], nil
}

// isUnknownFlag reports whether a command does not have a flag.
func isUnknownFlag(err error) bool { return err != nil && strings.Contains(err.Error(), "not defined") }

// manyGoroutines is how many goroutines a program has if the runtime's goroutine profile and
// trace are a burden for its users. With 100,000, the profile makes requests wait for 20 to
// 40 ms, and a trace, which begins with the state of each goroutine, for 10 to 25 ms.
const manyGoroutines = 10_000

// goroutineProfile returns the task to write the profile of all goroutines. If the runtime
// would hold up the program for it, or cannot be asked, it is made of stacks.json.
func (b *bundler) goroutineProfile() bundle.Task {
	t := b.profile("goroutine")
	run := t.Make
	t.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		if b.stacksJSON == nil || b.goroutines <= manyGoroutines && !b.outside {
			return run(ctx, w)
		}
		return bundle.Outcome{Remark: "made of " + stackprofile.Comment}, stackprofile.Write(w, b.stacksJSON)
	}
	return t
}

// cpu returns the task to profile the CPU. If the profiler is in use, the profile comes from a
// trace.
func (b *bundler) cpu() bundle.Task {
	t := b.recorded("profiles/cpu.pb.gz", b.time, "profile", "cpu")
	run := t.Make
	t.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		o, err := run(ctx, w)
		if err == nil || !isCPUBusy(err.Error()) {
			return o, err
		}
		words := []string{"profile", "cpu", "-seconds", strconv.FormatFloat(b.time.Seconds(), 'f', -1, 64)}
		remark, err := cpuSamples(w, words, func(w io.Writer, words ...string) (err error) {
			if o, err = b.run(ctx, w, words...); err != nil && o.Complete {
				err = statusError{statusInterrupted, err}
			}
			return err
		})
		o.Remark = remark
		return o, err
	}
	return t
}

// trace returns the task to record a short trace. It is left out if it is not asked for and
// would hold up the program.
func (b *bundler) trace() bundle.Task {
	t := b.recorded("trace", min(traceTime, b.time), "trace")
	run := t.Make
	t.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		if !b.bundleOptions.trace && b.goroutines > manyGoroutines {
			return bundle.Outcome{}, fmt.Errorf("the trace of %d goroutines would hold up the program; oneshot bundle -trace records it", b.goroutines)
		}
		return run(ctx, w)
	}
	return t
}

// delta returns the task to take a profile once more, and write what was added.
func (b *bundler) delta(name string) bundle.Task {
	t := b.recorded("profiles/"+name+"-delta.pb.gz", 0, "profile", name)
	run := t.Make
	t.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		before := b.before[name]
		if before == nil {
			return bundle.Outcome{}, fmt.Errorf("there is no earlier profile %s", name)
		}
		var later bytes.Buffer
		o, err := run(ctx, &later)
		if err != nil {
			return o, err
		}
		return o, difference.Write(w, before, later.Bytes())
	}
	return t
}

// metrics returns the task to show the metrics. It keeps the number of goroutines.
func (b *bundler) metrics(name string) bundle.Task {
	t := b.command(name, quickTime, "metrics")
	run := t.Make
	t.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		kept := new(bytes.Buffer)
		o, err := run(ctx, io.MultiWriter(w, kept))
		if _, after, ok := strings.Cut(kept.String(), "/sched/goroutines:goroutines "); ok {
			number, _, _ := strings.Cut(strings.TrimLeft(after, " "), "\n")
			b.goroutines, _ = strconv.ParseUint(number, 10, 64)
		}
		return o, err
	}
	return t
}

// leaks returns the task to prove leaks. It is left out if it is not asked for and would stop
// the program for too long.
func (b *bundler) leaks() bundle.Task {
	words := []string{"leaks"}
	if b.bundleOptions.leaks {
		words = append(words, "-force")
	}
	t := b.command("leaks.txt", longTime, words...)
	run := t.Make
	t.Make = func(ctx context.Context, w io.Writer) (bundle.Outcome, error) {
		stop := leakproof.Estimate(vitals.Sample{Goroutines: b.goroutines}).Stop
		if !b.bundleOptions.leaks && stop > maxLeaksStop {
			return bundle.Outcome{}, fmt.Errorf("it would stop the program for about %v; oneshot bundle -leaks does it", stop.Round(100*time.Microsecond))
		}
		return run(ctx, w)
	}
	return t
}
