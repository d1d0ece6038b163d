//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/top"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/vitals"
)

const topHelp = `usage: oneshot top [-every SECONDS] [-frames N] [flags] PID

Shows a process on a screen that is drawn again every second: CPU, memory, heap and
collector, descriptors, goroutines by state, what stands out, and the largest groups of
goroutines, those that have grown since top began first. q or Ctrl-C ends it.

	oneshot top 4321
	oneshot top -frames 2 4321 | cat

	-every SECONDS   the time between two looks; default 1
	-frames N        end after N looks. If the output is no terminal, each is printed
	                 below the one before

The other flags are those of a session (oneshot help connect).

It is one session, in which it runs the commands metrics and stacks again and again. The
log of the program has each of them once, and they collect no garbage. A look takes at most a tenth of the time: if it takes longer, the next
one comes later. A program without a manhole, or any with -outside, is read from outside;
then the heap and the collector are not known.
`

// topFlags are the flags of top.
type topFlags struct {
	connectFlags
	every  float64
	frames int
}

func (f *topFlags) define(flags *flag.FlagSet) {
	f.connectFlags.define(flags)
	flags.Float64Var(&f.every, "every", 1, "look every `SECONDS`")
	flags.IntVar(&f.frames, "frames", 0, "end after `N` looks")
}

// A look and what follows it until the next one.
const (
	lookShare = 10 // a look takes at most one of so many parts of the time
	minEvery  = 0.1
)

func runTop(args []string, stdout, _ io.Writer) error {
	var f topFlags
	rest, err := parseMixed("top", args, f.define)
	if err != nil {
		return err
	}
	o, err := f.options()
	out, _ := stdout.(*os.File)
	onTerminal := out != nil && term.IsTerminal(int(out.Fd())) && term.IsTerminal(int(os.Stdin.Fd()))
	switch {
	case err != nil:
		return err
	case len(rest) != 1:
		return usageError{fmt.Sprintf("top: give one process, not %d; oneshot help top says more", len(rest))}
	case !(f.every >= minEvery && f.every <= maxTimeout.Seconds()):
		return usageError{fmt.Sprintf("top: -every %v: give a number of seconds from %v", f.every, minEvery)}
	case f.frames < 0 || f.frames == 0 && !onTerminal:
		return usageError{"top: the output is no terminal; say with -frames N how many looks to print"}
	}
	t, err := parseTarget(rest[0])
	if err != nil {
		return err
	}
	w, err := newWatched(t, o)
	if err != nil {
		return err
	}
	defer w.Close()
	return w.show(stdout, out, onTerminal, time.Duration(f.every*float64(time.Second)), f.frames)
}

// watched is a process that top looks at.
type watched struct {
	process *discovery.Process
	proc    *procfs.Process
	vitals  vitals.Another
	look    func(*top.Sample) // reads the goroutines
	done    func() error
}

// newWatched opens a session with a process, or prepares the reading from outside.
func newWatched(t target, o connectOptions) (*watched, error) {
	_, isOutside, err := readFromOutside(t, o)
	if err != nil {
		return nil, err
	}
	p, err := t.findProcess(o)
	if err != nil {
		return nil, err
	}
	w := &watched{process: p}
	if w.proc, err = procfs.Another(p.PID); err != nil {
		return nil, errHasEnded(p.PID)
	}
	w.vitals = vitals.Another{PID: p.PID, Process: w.proc}
	if isOutside {
		err = w.fromOutside()
	} else {
		err = w.inSession(t, o)
	}
	if err != nil {
		w.proc.Close()
		return nil, err
	}
	return w, nil
}

// Close ends the session.
func (w *watched) Close() { _ = errors.Join(w.done(), w.proc.Close()) }

// fromOutside reads the goroutines from the memory of the process.
func (w *watched) fromOutside() error {
	o := &outsider{Process: w.process, process: w.proc, stdout: io.Discard, stderr: io.Discard}
	r, err := o.read()
	if err != nil {
		return err
	}
	w.done = r.Close
	c := readCommand{command: "stacks"}
	c.Groups = topGroups
	w.look = func(s *top.Sample) {
		var text bytes.Buffer
		s.Failed = r.run(&text, io.Discard, c)
		s.Stacks = top.ParseStacks(text.String())
	}
	return nil
}

// topGroups is how many groups top reads from outside, and perhaps shows.
const topGroups = 50

// Bounds of one answer.
const (
	maxAnswer  = 8 << 20 // bytes
	answerTime = time.Minute
)

// inSession reads them with the commands of a session.
func (w *watched) inSession(t target, o connectOptions) error {
	c := &commander{
		target: t, options: o, wishes: protocol.Wishes{Text: true, More: true, Cost: true},
		progress: new(partProgress), ended: func() bool { return processEnded(w.process.PID, w.process.Start) },
	}
	look := func(s *top.Sample) error {
		ctx, cancel := context.WithTimeout(context.Background(), answerTime)
		defer cancel()
		var answers [2]boundedText
		for i, line := range protocol.Looks {
			answers[i].most = maxAnswer
			if _, err := c.run(ctx, &answers[i], line); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
		}
		s.Metrics, s.Stacks = top.ParseMetrics(answers[0].String()), top.ParseStacks(answers[1].String())
		return nil
	}
	if err := look(new(top.Sample)); err != nil { // for example, there are no commands
		c.close()
		return err
	}
	w.done = func() error { c.drop(); return nil }
	w.look = func(s *top.Sample) { s.Failed = look(s) }
	return nil
}

// boundedText is a text that can become only so long.
type boundedText struct {
	strings.Builder
	most int
}

func (b *boundedText) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, errors.New("the answer is too long")
	}
	return b.Builder.Write(p)
}

// sample looks once.
func (w *watched) sample() (s top.Sample, err error) {
	s.At = time.Now()
	if s.Vitals, s.Memory, err = w.vitals.Read(); err != nil || processEnded(w.process.PID, w.process.Start) {
		return s, errHasEnded(w.process.PID)
	}
	s.Descriptors, _ = w.vitals.Descriptors() // zero if it is not known
	s.Cgroup = procfs.ReadCgroup(w.proc.Dir)
	w.look(&s)
	if s.Failed != nil && processEnded(w.process.PID, w.process.Start) {
		return s, errHasEnded(w.process.PID)
	}
	return s, nil
}

// title is the first line of the screen.
func (w *watched) title() string {
	text := fmt.Sprintf("%s, pid %d", w.process.Name, w.process.PID)
	if w.process.Go != "" {
		text += ", " + w.process.Go
	}
	if up := procfs.Uptime(w.process.Start); up > 0 {
		text += fmt.Sprintf(", started %s", time.Now().Add(-up).Format(time.DateTime))
	}
	return text + "; q ends"
}
