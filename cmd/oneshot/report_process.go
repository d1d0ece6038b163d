//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
)

const reportHelp = `usage: oneshot report [-for TIME] [-o FILE.html] [flags] BUNDLE|PID

Makes one HTML page of a bundle (oneshot help bundle) or of a process, and prints its
name. The page shows what stands out, the vital signs, all groups of goroutines with a
search and filters, flame graphs of the goroutines and of each profile, the descriptors,
other texts, and what each part has cost the program. Open it in any browser, send it,
or print it. On paper are up to 500 groups.

	oneshot report oneshot-server-web1-4321-20260102T150405Z.tar.gz
	oneshot-server-web1-4321-20260102T150405Z.html

	oneshot report -for 10s 4321

	-for TIME   of a process, profile the CPU for that time too, and show what has
	            changed meanwhile. Without it, the page has what can be had at once
	-o FILE     the name of the page, which must be new; default: the name of the
	            bundle with .html

The other flags are those of a session (oneshot help connect); they need a process. A
program without a manhole is read from outside, as for a bundle.

The page is one file of less than 2 MB. It loads nothing from anywhere, and a policy in it
makes the browser refuse that. What the program has chosen, such as the name of a
function, is shown as text only.
`

// reportFlags are the flags of report.
type reportFlags struct {
	connectFlags
	time time.Duration
	file string
}

func (f *reportFlags) define(flags *flag.FlagSet) {
	f.connectFlags.define(flags)
	flags.DurationVar(&f.time, "for", 0, "profile the CPU of a process for this `TIME`")
	flags.StringVar(&f.file, "o", "", "write the page to the new file `FILE`")
}

func runReport(args []string, stdout, stderr io.Writer) error {
	var f reportFlags
	rest, err := parseMixed("report", args, f.define)
	switch {
	case err != nil:
		return err
	case len(rest) != 1:
		return usageError{"report: give one bundle or one process; oneshot help report says more"}
	case f.time < 0 || f.time > maxBundleTime:
		return usageError{fmt.Sprintf("report: -for %v: give a time above 0 and at most %v", f.time, maxBundleTime)}
	}
	if _, err := strconv.ParseUint(rest[0], 10, 64); err == nil {
		return f.ofProcess(rest[0], stdout, stderr)
	}
	if f.connectFlags != defaultConnect || f.time != 0 {
		return usageError{"report: -for and the flags of a session need a process, not a bundle"}
	}
	return reportBundle(rest[0], f.file, stdout)
}

// defaultConnect is what connectFlags are if none was given.
var defaultConnect = connectFlags{seconds: defaultTimeout.Seconds()}

// ofProcess makes the page of a process, by way of a bundle in memory. The other parts of a
// bundle have more for tools than for a page.
func (f *reportFlags) ofProcess(pid string, stdout, stderr io.Writer) error {
	parts := bundleOptions{time: f.time, without: func(part string) bool {
		return slices.Contains([]string{"trace", "trace-last", "leaks.txt", "metrics.json", "metrics-later.json", "threads.json", "fds.txt"}, part) ||
			f.time == 0 && (part == "profiles/cpu.pb.gz" || part == "metrics-later.txt" || strings.HasSuffix(part, "-delta.pb.gz"))
	}}
	b, err := openBundler(&f.connectFlags, parts, pid, stderr)
	if err != nil {
		return err
	}
	defer b.manhole.close()
	ctx, stop := untilSignal()
	defer stop()
	var archive bytes.Buffer
	m, err := b.write(ctx, &archive, b.name())
	b.manhole.progress.Progress.Clear()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	made, err := bundle.Read(&archive)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	if f.file == "" {
		f.file = b.name() + ".html"
	}
	if err := writeReport(made, f.file, stdout); err != nil {
		return err
	}
	return b.whyEarly(m)
}
