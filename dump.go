package oneshot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
)

// defaultGroups is how many groups a dump shows unless it is told.
const defaultGroups = 20

func runStacks(ctx context.Context, s *session, args []string) error {
	flags := flag.NewFlagSet("stacks", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	n := flags.Int("n", defaultGroups, "")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *n < 0 {
		return errors.New("usage: stacks [-n N], N groups, 0 for all")
	}
	groups, own, err := collectGroups()
	if err != nil {
		return err
	}
	return writeGroups(ctx, s.out, groups, own, *n)
}

// group is some goroutines with the same stack.
type group struct {
	count  int
	labels string  // pprof labels as the profile prints them; empty if none
	waits  string  // what they wait for; empty: they run, or it is not known
	frames []frame // innermost first, without the runtime's on top and at the entry
}

type frame struct {
	function, file string
	line           int
}

// collectGroups groups the goroutines by their stacks, largest first, and counts
// those of the manhole, which it leaves out. It reads
// the goroutine profile, which stops the program twice and very shortly, not for
// the length of the dump (goroutineProfileWithLabelsConcurrent in the
// runtime's mprof.go). The text form is the one that has the program counters
// of the runtime's own frames.
func collectGroups() (groups []group, own int, err error) {
	var p profileReader
	if err := pprof.Lookup("goroutine").WriteTo(&p, 1); err != nil {
		return nil, 0, err
	}
	if p.err != nil {
		return nil, 0, p.err
	}
	groups = slices.DeleteFunc(p.groups, func(g group) bool {
		if g.own() {
			own += g.count
			return true
		}
		return false
	})
	return mergeGroups(groups), own, nil
}

// own reports whether the goroutines are the manhole's. Where the program waits
// in Wait or calls Oneshot, they are not.
func (g group) own() bool {
	for _, f := range g.frames {
		name, ours := strings.CutPrefix(f.function, packagePath)
		for _, own := range ownFunctions {
			// They begin in function literals, (*session).run.func1, since the
			// wrapper of another go statement is invisible until it has run.
			if rest, ok := strings.CutPrefix(name, own); ours && ok && (rest == "" || rest[0] == '.') {
				return true
			}
		}
	}
	return false
}

const packagePath = "github.com/gomanhole/oneshot."

// ownFunctions are where the goroutines of the manhole begin, or are begun.
var ownFunctions = []string{
	"(*Manhole).receive", "(*Manhole).startReceiver", "(*Manhole).open", "(*Manhole).dismiss",
	"(*window).live", "(*session).run", "(*session).read", "(*session).do", "(*session).perform",
	"(*asyncLog).start", "(*asyncLog).drain", "(*guard).post",
}

// profileReader reads the text form of a goroutine profile while it is being
// written, so that it need not stand in memory. Of each group it takes
//
//	3 @ 0x47d24e 0x4156f4 ...
//	# labels: {"key":"value"}
type profileReader struct {
	rest   []byte
	groups []group
	err    error
}

func (r *profileReader) Write(p []byte) (int, error) {
	written := len(p)
	for {
		text, rest, ended := bytes.Cut(p, []byte{'\n'})
		r.rest = append(r.rest, text...)
		if !ended {
			return written, nil
		}
		p = rest
		r.line(string(r.rest))
		r.rest = r.rest[:0]
	}
}

func (r *profileReader) line(text string) {
	if labels, ok := strings.CutPrefix(text, "# labels: "); ok && len(r.groups) > 0 {
		r.groups[len(r.groups)-1].labels = labels
		return
	}
	count, pcs, ok := strings.Cut(text, " @")
	if !ok || strings.HasPrefix(text, "#") {
		return
	}
	n, err := strconv.Atoi(count)
	if err != nil {
		r.err = fmt.Errorf("goroutine profile: unknown line %q", clip(text, 80))
		return
	}
	var stack []uintptr
	for field := range strings.FieldsSeq(pcs) {
		pc, err := strconv.ParseUint(field, 0, 64)
		if err != nil {
			r.err = fmt.Errorf("goroutine profile: unknown line %q", clip(text, 80))
			return
		}
		stack = append(stack, uintptr(pc))
	}
	g := group{count: n}
	g.waits, g.frames = symbolize(stack)
	r.groups = append(r.groups, g)
}

// symbolize turns program counters into what the goroutine waits for and its
// frames.
func symbolize(stack []uintptr) (waits string, frames []frame) {
	top := true
	it := runtime.CallersFrames(stack)
	for {
		f, more := it.Next()
		if f.Function != "" {
			if reason, ok := waitReasons[f.Function]; ok && top {
				waits = reason
			}
			if top = top && strings.HasPrefix(f.Function, "runtime."); !top {
				frames = append(frames, frame{f.Function, f.File, f.Line})
			}
		}
		if !more {
			return waits, withoutEntry(frames)
		}
	}
}

// withoutEntry cuts off the runtime's functions that every goroutine begins in.
func withoutEntry(frames []frame) []frame {
	for len(frames) > 1 {
		last := frames[len(frames)-1].function
		if last != "runtime.goexit" && last != "runtime.main" {
			break
		}
		frames = frames[:len(frames)-1]
	}
	return frames
}

// waitReasons are the functions in which goroutines are parked, as they stand
// on top of the stack, with the runtime's word for it (waitReasonStrings in
// runtime2.go). The outermost that is found counts.
var waitReasons = map[string]string{
	"runtime.chanrecv":                      "chan receive",
	"runtime.chansend":                      "chan send",
	"runtime.selectgo":                      "select",
	"runtime.block":                         "select (no cases)",
	"runtime.netpollblock":                  "IO wait",
	"runtime.semacquire1":                   "semacquire",
	"sync.runtime_SemacquireMutex":          "sync.Mutex.Lock",
	"internal/sync.runtime_SemacquireMutex": "sync.Mutex.Lock",
	"sync.runtime_SemacquireRWMutex":        "sync.RWMutex.Lock",
	"sync.runtime_SemacquireRWMutexR":       "sync.RWMutex.RLock",
	"sync.runtime_SemacquireWaitGroup":      "sync.WaitGroup.Wait",
	"sync.runtime_notifyListWait":           "sync.Cond.Wait",
	"time.Sleep":                            "sleep",
	"os/signal.signal_recv":                 "syscall",
}

// mergeGroups joins groups that read the same (their program counters may
// differ within a line) and sorts them.
func mergeGroups(groups []group) []group {
	index := make(map[string]int)
	merged := groups[:0]
	var key []byte
	for _, g := range groups {
		key = fmt.Appendf(key[:0], "%s\n%s\n", g.labels, g.waits)
		for _, f := range g.frames {
			key = fmt.Appendf(key, "%s\t%s:%d\n", f.function, f.file, f.line)
		}
		if i, ok := index[string(key)]; ok {
			merged[i].count += g.count
			continue
		}
		index[string(key)] = len(merged)
		merged = append(merged, g)
	}
	slices.SortStableFunc(merged, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.count, a.count), slices.CompareFunc(a.frames, b.frames, func(a, b frame) int {
			return cmp.Or(strings.Compare(a.function, b.function), cmp.Compare(a.line, b.line))
		}))
	})
	return merged
}

// writeGroups writes the n largest groups, all if n is 0, until ctx ends.
func writeGroups(ctx context.Context, w io.Writer, groups []group, own, n int) error {
	total := 0
	for _, g := range groups {
		total += g.count
	}
	_, err := fmt.Fprintf(w, "\n%s in %s by identical stacks, %d of the manhole left out:\n",
		plural(total, "goroutine"), plural(len(groups), "group"), own)
	if err != nil {
		return err
	}
	shown := groups
	if n > 0 && n < len(groups) {
		shown = groups[:n]
	}
	for _, g := range shown {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := g.write(w, total); err != nil {
			return err
		}
	}
	if hidden := groups[len(shown):]; len(hidden) > 0 {
		rest := 0
		for _, g := range hidden {
			rest += g.count
		}
		fmt.Fprintf(w, "\n%s more with %s: stacks -n 0\n", plural(len(hidden), "group"), plural(rest, "goroutine"))
	}
	_, err = io.WriteString(w, "\n")
	return err
}

func (g group) write(w io.Writer, total int) error {
	waits := g.waits
	if waits == "" {
		waits = "running or runnable"
	}
	_, err := fmt.Fprintf(w, "\n%d (%d%%) %s", g.count, 100*g.count/max(total, 1), waits)
	if g.labels != "" {
		fmt.Fprintf(w, " %s", g.labels)
	}
	fmt.Fprintln(w)
	if len(g.frames) == 0 {
		_, err = fmt.Fprintln(w, "    (in the runtime, or not begun yet)")
	}
	for _, f := range g.frames {
		_, err = fmt.Fprintf(w, "    %s\n        %s:%d\n", f.function, f.file, f.line)
	}
	return err // a writer that fails goes on failing
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
