//go:build linux && !oneshot_noproc

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/protocol"
)

const bundleHelp = `usage: oneshot bundle [-for TIME] [-o FILE] [-values] [-leaks] [-trace] [flags] PID

Writes everything that can be found out about a process into one archive, and prints its
name. Attach it to a ticket, or look at it later: oneshot report and oneshot diff read it,
and tar xzf unpacks it.

	oneshot bundle 4321
	oneshot-server-web1-4321-20260102T150405Z.tar.gz

	-for TIME   how long the CPU profile lasts; default 10s, at most 10m. The other
	            profiles show what has changed meanwhile
	-o FILE     the name of the archive, which must be new, or a folder for it
	-values     write the values of the environment too, which may be secrets. Without
	            it there are only the names
	-leaks      prove which goroutines are leaked, even if that stops the program for
	            more than a millisecond
	-trace      record a trace even of more than 10,000 goroutines, whose state at its
	            beginning makes requests wait for some milliseconds

The other flags are those of a session (oneshot help connect).

The parts are made one after another, from those that cost the program nothing to those
that cost the most: files of /proc and of the control groups; build, settings,
signals, threads, descriptors, metrics; the first screen and all stacks, as text and as JSON;
the profiles; the CPU profile; a trace of a second; leaks. The file manifest.json has for
each part how long it took, for how long the world was stopped meanwhile, and why
it is missing, if it is.

Each part is in the archive before the next one begins. Ctrl-C ends the bundle early, and
so does the end of the program: the archive has all parts until then. The status is then
130 or 1. Until the archive is complete, its name ends with .unfinished.

Of more than 10,000 goroutines, the goroutine profile is made of stacks.json: the runtime's
own would hold up the program.

A Go program without a manhole, or any with -outside, is read from outside: the bundle
has only the goroutine profile then, and no metrics.
`

const (
	defaultBundleTime = 10 * time.Second
	maxBundleTime     = 10 * time.Minute
)

// bundleFlags are the flags of bundle.
type bundleFlags struct {
	connectFlags
	bundleOptions
	file string
}

// bundleOptions say what is in a bundle.
type bundleOptions struct {
	time         time.Duration // of the CPU profile
	values       bool
	leaks, trace bool
	without      func(part string) bool // which parts are left out; nil: none
}

func (o *bundleOptions) define(flags *flag.FlagSet) {
	flags.DurationVar(&o.time, "for", defaultBundleTime, "profile the CPU for this `TIME`")
	flags.BoolVar(&o.values, "values", false, "write the values of the environment too")
	flags.BoolVar(&o.leaks, "leaks", false, "prove leaks even if that stops the program for more than a millisecond")
	flags.BoolVar(&o.trace, "trace", false, "record a trace even of more than 10,000 goroutines")
}

// check returns an error for options that are not possible.
func (o *bundleOptions) check() error {
	if o.time <= 0 || o.time > maxBundleTime {
		return usageError{fmt.Sprintf("bundle: -for %v: give a time above 0 and at most %v", o.time, maxBundleTime)}
	}
	return nil
}

func (f *bundleFlags) define(flags *flag.FlagSet) {
	f.connectFlags.define(flags)
	f.bundleOptions.define(flags)
	flags.StringVar(&f.file, "o", "", "write to the new file `FILE`, or to a folder")
}

func runBundle(args []string, stdout, stderr io.Writer) error {
	var f bundleFlags
	rest, err := parseMixed("bundle", args, f.define)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usageError{fmt.Sprintf("bundle: give one process, not %d; oneshot ps lists the Go processes", len(rest))}
	}
	if err := f.check(); err != nil {
		return err
	}
	b, err := openBundler(&f.connectFlags, f.bundleOptions, rest[0], stderr)
	if err != nil {
		return err
	}
	defer b.manhole.close()
	return b.toFile(f.file, stdout, stderr)
}

// openBundler opens a session with a process, or prepares to read it from outside.
func openBundler(c *connectFlags, parts bundleOptions, name string, stderr io.Writer) (*bundler, error) {
	o, err := c.options()
	if err != nil {
		return nil, err
	}
	t, err := parseTarget(name)
	if err != nil {
		return nil, err
	}
	p, err := t.findProcess(o)
	if err != nil {
		return nil, err
	}
	b := newBundler(t, o, p, parts)
	if file, ok := stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		b.manhole.progress.Progress = display.Progress{Terminal: file, Width: func() int { return columns(file) }}
		b.manhole.wishes.Progress = true
	}
	if err := b.enter(); err != nil {
		b.manhole.close()
		return nil, err
	}
	return b, nil
}

// toFile writes the bundle to a new file and prints its name.
func (b *bundler) toFile(path string, stdout, stderr io.Writer) error {
	name := b.name()
	if info, err := os.Stat(path); path == "" || err == nil && info.IsDir() {
		path = filepath.Join(path, name+".tar.gz")
	}
	file, err := bundle.Create(path)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("bundle: %s exists already; give another name with -o", path)
	} else if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	ctx, stop := untilSignal()
	defer stop()
	m, err := b.write(ctx, file, name)
	b.manhole.progress.Progress.Clear()
	if err != nil {
		if !file.Abandon() {
			return fmt.Errorf("bundle: nothing was written: %w", err)
		}
		return fmt.Errorf("bundle: %s is not complete: %w", file.Name(), err)
	}
	if err := file.Finish(); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if _, err := fmt.Fprintln(stdout, path); err != nil {
		return err
	}
	if missing := missingParts(m); len(missing) > 0 {
		fmt.Fprintf(stderr, "oneshot: not in it: %s; %s says why\n", display.EscapeLine(strings.Join(missing, ", ")), bundle.ManifestName)
	}
	return b.whyEarly(m)
}

// whyEarly returns the error for a bundle that has ended early, or nil.
func (b *bundler) whyEarly(m *bundle.Manifest) error {
	switch m.End {
	case bundle.Interrupted:
		return statusError{status: statusInterrupted}
	case bundle.ProgramEnded:
		return fmt.Errorf("%w; the bundle has what there was until then", errHasEnded(b.process.PID))
	}
	return nil
}

// missingParts returns the names of the parts that are not in a bundle.
func missingParts(m *bundle.Manifest) (names []string) {
	for _, p := range m.Parts {
		if !p.Present {
			names = append(names, p.Name)
		}
	}
	return names
}

// untilSignal returns a context that ends when a signal asks this process to end.
func untilSignal() (context.Context, func()) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}

// bundler makes a bundle of a process.
type bundler struct {
	bundleOptions
	process *discovery.Process
	manhole commander
	outside bool   // there is no manhole, or it does not answer
	why     string // what to say about that
	began   time.Time

	goroutines uint64            // as the metrics have it; 0: not known
	stacksJSON []byte            // the part stacks.json
	before     map[string][]byte // the profiles of which there will be a delta
}

func newBundler(t target, o connectOptions, p *discovery.Process, what bundleOptions) *bundler {
	return &bundler{
		bundleOptions: what, process: p, began: time.Now(), before: make(map[string][]byte),
		manhole: commander{
			target: t, options: o, wishes: protocol.Wishes{More: true, Cost: true},
			progress: new(partProgress), ended: func() bool { return processEnded(p.PID, p.Start) }, endTime: defaultEndTime,
		},
	}
}

// enter opens a session. If the manhole cannot serve it, the process is read from outside, if
// that is possible.
func (b *bundler) enter() error {
	c := &b.manhole
	p, isOutside, err := readFromOutside(c.target, c.options)
	switch {
	case err != nil:
		return err
	case isOutside:
		b.outside, b.process = true, p
		return nil
	}
	if err = c.connect(); err == nil {
		err = b.try()
	}
	if err == nil {
		return nil
	}
	if p, readErr := discovery.Read(b.process.PID); readErr == nil && p.IsGo && p.Library == "" && isNoAnswer(err) {
		b.outside, b.process, b.why = true, p, err.Error()
		return nil
	}
	return err
}

// isNoAnswer reports whether an error means that the manhole is there but cannot be used.
func isNoAnswer(err error) bool {
	var status statusError
	return errors.As(err, &status) && status.status == statusTimeout || errors.Is(err, errOwnHandler)
}

// name returns the name of the bundle: the program, the host, the pid and the time.
func (b *bundler) name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("oneshot-%s-%s-%d-%s", plainName(b.process.Name), plainName(host), b.process.PID, b.began.UTC().Format("20060102T150405Z"))
}

// write makes the parts and writes them to a file.
func (b *bundler) write(ctx context.Context, to io.Writer, name string) (*bundle.Manifest, error) {
	w, err := bundle.NewWriter(to, name)
	if err != nil {
		return nil, err
	}
	host, _ := os.Hostname() // "" if it is not known
	m := &bundle.Manifest{
		Client: clientVersion(), Program: display.EscapeLine(b.process.Name), Host: host, PID: b.process.PID,
		Outside: b.outside, Remark: display.Escape(b.why), Began: b.began,
	}
	tasks := slices.DeleteFunc(b.tasks(ctx), func(t bundle.Task) bool { return b.without != nil && b.without(t.Name) })
	show := func(n int, t bundle.Task) {
		b.manhole.progress.begin(fmt.Sprintf("bundle: %d of %d: %s", n+1, len(tasks), t.Name))
	}
	return m, bundle.Collect(ctx, w, m, tasks, show)
}
