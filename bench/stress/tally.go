//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// tally counts events and failures by name.
type tally struct {
	began time.Time

	mu     sync.Mutex // guards the fields below
	n      map[string]int
	failed int
}

// happened contains the counters of events, in the order of the table. Signals and
// ways to end have their own groups.
var happened = []string{
	"programs", "windows", "sessions", "commands", "refusals", "disconnects", "denied to another uid",
	"executed in place", "looked at rest", "slow system calls", "QUIT ended by SIGSEGV", "left by exec in place", "left by kill -9 or QUIT", "of those replaced", "of those removed",
	reuseRounds, "rounds without a temporary name", "files with the inode of a dead socket", "files put at the path",
}

// mustBeZero contains the counters of failures.
var mustBeZero = []string{
	leakedGoroutines, leakedThreads, leakedDescriptors, wrongStatus, wrongAnswer, filesLeft, filesRemoved, noWindow, noEnd, faults,
}

const (
	leakedGoroutines  = "goroutines leaked"
	leakedThreads     = "threads leaked"
	leakedDescriptors = "descriptors leaked"
	wrongStatus       = "wrong exit statuses"
	wrongAnswer       = "wrong answers"
	filesLeft         = "files left"
	filesRemoved      = "files of others removed"
	noWindow          = "windows that did not open"
	noEnd             = "waits that timed out"
	faults            = "panics, fatal errors, data races"
)

// reuseRounds counts the rounds of -reuse.
const reuseRounds = "rounds of inode reuse"

func newTally() *tally { return &tally{began: time.Now(), n: make(map[string]int)} }

func (t *tally) add(name string, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n[name] += n
}

// failures returns the number of failures.
func (t *tally) failures() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range mustBeZero {
		n += t.n[name]
	}
	return n
}

// maxReports is the number of failures that are reported in full.
const maxReports = 20

// fail counts a failure and prints its report, unless there were too many.
func (t *tally) fail(name, report string) {
	t.add(name, 1)
	t.mu.Lock()
	t.failed++
	failed := t.failed
	t.mu.Unlock()
	if failed <= maxReports {
		fmt.Fprintf(os.Stderr, "\nFAILED %d, %s\n%s\n", failed, name, report)
	}
}

// line returns the progress in one line.
func (t *tally) line() string {
	failures := t.failures()
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.n[reuseRounds]; n > 0 {
		return fmt.Sprintf("%6.0fs  %d programs, %d rounds; %d failures", time.Since(t.began).Seconds(), t.n["programs"], n, failures)
	}
	return fmt.Sprintf("%6.0fs  %d programs, %d windows, %d sessions, %d commands, %d refusals, %d signals, %d disconnects, %d killed; %d failures",
		time.Since(t.began).Seconds(), t.n["programs"], t.n["windows"], t.n["sessions"], t.n["commands"], t.n["refusals"],
		t.sum("signal "), t.n["disconnects"], t.n["signal KILL"], failures)
}

// sum adds up a group. The caller holds t.mu.
func (t *tally) sum(prefix string) (n int) {
	for name, v := range t.n {
		if strings.HasPrefix(name, prefix) {
			n += v
		}
	}
	return n
}

// table prints all counters.
func (t *tally) table(out io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	defer w.Flush()
	fmt.Fprintf(w, "\ntime\t%v\n", time.Since(t.began).Round(time.Second))
	for _, name := range happened {
		fmt.Fprintf(w, "%s\t%d\n", name, t.n[name])
	}
	for _, sig := range signalNames() {
		fmt.Fprintf(w, "signal %s\t%d\n", sig, t.n["signal "+sig])
	}
	fmt.Fprintln(w, "\nthese must be zero\t")
	for _, name := range mustBeZero {
		fmt.Fprintf(w, "%s\t%d\n", name, t.n[name])
	}
}
