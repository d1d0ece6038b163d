//go:build linux && !oneshot_noproc

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/watch"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/shellwords"
)

const watchHelp = `usage: oneshot watch -when CONDITION [-do COMMAND]... [-dir DIR] [-every TIME] [-times N] [flags] PID

Waits until a condition holds, and then writes what the process is doing to a new file.
Until then it only reads /proc and the control group of the process: it sends nothing,
and needs less than half a percent of a CPU.

	oneshot watch -when 'rss>1.5GiB || goroutines>10000 || cpu>90%/30s' 4321
	oneshot watch -when 'memory>90%' -do stacks -do 'profile heap' -dir /var/tmp 4321

	-when CONDITION  comparisons with < <= > >=, joined by && and ||, with parentheses:
	                 rss, swap    bytes of the process: 1.5GiB, 200MB
	                 memory       bytes of its control group, or percent of the limit
	                 cpu          percent of one CPU, measured over a second
	                 threads      a number
	                 fds          open descriptors: a number, or percent of the limit
	                 goroutines   a number; needs the right to trace the process
	                 With /30s it must hold for that time. cpu is then measured over
	                 that time
	-do COMMAND      a command for the process, as in oneshot PID COMMAND. Its output
	                 goes to the file. Give -do again for more. Default: stacks -n 0.
	                 bundle writes an archive with everything; it takes the flags
	                 -for, -values, -leaks and -trace (oneshot help bundle)
	-dir DIR         where the files are written; default: the current directory. Their
	                 names have the program, the pid, the time and the command, and
	                 their mode is 0600
	-every TIME      do it at most once in this time; default 10m
	-times N         end after N times; default 10, and 0 means no end

The other flags are those of a session (oneshot help connect).

If the manhole does not answer, or there is none, the command reads the process from
outside, if it can. oneshot watch ends with status 1 when the process ends, or if a
command has failed.
`

// watchFlags are the flags of watch.
type watchFlags struct {
	connectFlags
	when, dir string
	do        []string
	every     time.Duration
	times     int
}

func (f *watchFlags) define(flags *flag.FlagSet) {
	f.connectFlags.define(flags)
	flags.StringVar(&f.when, "when", "", "the `CONDITION`")
	flags.Func("do", "run this `COMMAND` when the condition holds", func(line string) error {
		f.do = append(f.do, line)
		return nil
	})
	flags.StringVar(&f.dir, "dir", ".", "write the files to the folder `DIR`")
	flags.DurationVar(&f.every, "every", 10*time.Minute, "do it at most once in this `TIME`")
	flags.IntVar(&f.times, "times", 10, "end after `N` times")
}

func runWatch(args []string, stdout, stderr io.Writer) error {
	var f watchFlags
	rest, err := parseMixed("watch", args, f.define)
	if err != nil {
		return err
	}
	o, err := f.options()
	switch {
	case err != nil:
		return err
	case len(rest) != 1:
		return usageError{fmt.Sprintf("watch: give one process, not %d; oneshot help watch says more", len(rest))}
	case f.when == "":
		return usageError{"watch: give a condition, such as -when 'rss>1.5GiB'"}
	case f.every < 0 || f.times < 0:
		return usageError{"watch: -every and -times cannot be negative"}
	}
	condition, err := watch.Parse(f.when)
	if err != nil {
		return usageError{"watch: -when: " + err.Error()}
	}
	actions, err := parseActions(f.do)
	if err != nil {
		return err
	}
	t, err := parseTarget(rest[0])
	if err != nil {
		return err
	}
	p, err := t.findProcess(o)
	if err != nil {
		return err
	}
	if info, err := os.Stat(f.dir); err != nil || !info.IsDir() {
		return usageError{fmt.Sprintf("watch: -dir %s is not a folder", f.dir)}
	}
	w := &watcher{target: t, options: o, process: p, condition: condition, actions: actions, dir: f.dir, out: stdout, errs: stderr}
	return w.run(f.every, f.times)
}

// watcher waits for a condition.
type watcher struct {
	target    target
	options   connectOptions
	process   *discovery.Process
	condition *watch.Condition
	actions   []action
	dir       string
	out, errs io.Writer

	done, failed int // actions
}

// run watches until a signal or the end of the process, or until the condition has been
// met a number of times.
func (w *watcher) run(every time.Duration, times int) error {
	g, err := newGauge(w.process, w.condition)
	if err != nil {
		return err
	}
	defer g.close()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := w.begin(g); err != nil {
		return err
	}
	var last time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; {
		select {
		case <-signals:
			return w.failures()
		case <-timer.C:
		}
		values, err := g.read()
		if err != nil {
			return err
		}
		if w.condition.Holds(values) && (last.IsZero() || time.Since(last) >= every) {
			last = time.Now()
			n++
			w.act()
			if n == times {
				return w.failures()
			}
		}
		timer.Reset(g.pause())
	}
}

// begin says that the watching begins, and what cannot be watched.
func (w *watcher) begin(g *gauge) error {
	values, err := g.read()
	if err != nil {
		return err
	}
	w.condition.Holds(values)
	if unknown := w.condition.Unknown(); len(unknown) > 0 {
		err := fmt.Errorf("watch: %s cannot be read", strings.Join(unknown, ", "))
		if g.failed != nil {
			err = fmt.Errorf("%w: %w", err, g.failed)
		}
		return err
	}
	_, err = fmt.Fprintf(w.out, "%s watching process %d (%s) for %s\n", clock(), w.process.PID, display.EscapeLine(w.process.Name), display.EscapeLine(w.condition.String()))
	return err
}

func clock() string { return time.Now().Format(time.DateTime) }

// act does what was asked for. An error does not end the watching: it may work next time.
func (w *watcher) act() {
	fmt.Fprintf(w.out, "%s %s\n", clock(), w.condition.Describe())
	for _, a := range w.actions {
		file, err := a.do(w)
		w.done++
		if err != nil {
			w.failed++
			fmt.Fprintf(w.errs, "oneshot: %s: %s\n", display.EscapeLine(a.line), display.EscapeLine(err.Error()))
		}
		if file != "" {
			fmt.Fprintf(w.out, "%s %s: %s\n", clock(), display.EscapeLine(a.line), display.EscapeLine(file))
		}
	}
}

// failures returns an error if an action has failed, so that a script does not take files
// for granted that were not written.
func (w *watcher) failures() error {
	if w.failed == 0 {
		return nil
	}
	return fmt.Errorf("watch: %d of %s failed", w.failed, plaintext.Plural(w.done, "command"))
}

// parseActions parses the values of -do.
func parseActions(lines []string) (actions []action, err error) {
	if len(lines) == 0 {
		lines = []string{"stacks -n 0"}
	}
	for _, line := range lines {
		words, err := shellwords.Split(line)
		switch {
		case err != nil:
			return nil, usageError{"watch: -do: " + err.Error()}
		case len(words) == 0 || strings.ContainsAny(line, "\n\x03"):
			return nil, usageError{"watch: -do needs a command for the process, such as 'profile heap'"}
		}
		if own, ok := ownActions[words[0]]; ok {
			if err := own.check(words); err != nil {
				return nil, usageError{"watch: -do: " + err.Error()}
			}
		}
		actions = append(actions, action{line: line, words: words})
	}
	return actions, nil
}

var errNotOutside = errors.New("the manhole does not answer, and nothing outside can do this")
