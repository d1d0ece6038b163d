//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"math/bits"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot"
)

// signalWriter prints until an error.
type signalWriter struct {
	w   io.Writer
	err error
}

func (w *signalWriter) printf(format string, args ...any) {
	if w.err == nil {
		_, w.err = fmt.Fprintf(w.w, format, args...)
	}
}

func (w *signalWriter) show(s *signalSubject) {
	if s.proc == nil {
		w.printf("0x%016x, in decimal %d: %s\n", uint64(s.mask), uint64(s.mask), countOf(bits.OnesCount64(uint64(s.mask)), "signal", "signals"))
		w.set("  ", s.mask)
		return
	}
	w.printf("process %d (%s), %s\n", s.proc.PID, cellText(s.proc.Name), s.goIs)
	for _, row := range s.rows {
		w.printf("%s %016x  %s\n", row.name, uint64(row.set), row.what)
		w.compact("  ", row.set)
	}
	w.showThreads(s)
	w.showListening(s)
}

// showThreads shows which threads block others than the main thread, or have
// others pending.
func (w *signalWriter) showThreads(s *signalSubject) {
	groups, order := make(map[threadMasks][]int), []threadMasks{}
	for _, t := range s.threads[1:] {
		if t.threadMasks == s.threads[0].threadMasks {
			continue
		}
		if groups[t.threadMasks] == nil {
			order = append(order, t.threadMasks)
		}
		groups[t.threadMasks] = append(groups[t.threadMasks], t.tid)
	}
	differ := 0
	for _, tids := range groups {
		differ += len(tids)
	}
	w.printf("%s", countOf(len(s.threads), "thread", "threads"))
	switch {
	case len(s.threads) == 1:
		w.printf("\n")
	case differ == 0:
		w.printf(", all block the same and have the same pending\n")
	default:
		w.printf(", %d not like the main thread:\n", differ)
	}
	for _, m := range order {
		w.printf("%s\n", threadIDs(groups[m]))
		for _, row := range []struct {
			name      string
			set, main oneshot.SignalSet
		}{{"SigPnd", m.pending, s.threads[0].pending}, {"SigBlk", m.blocked, s.threads[0].blocked}} {
			if row.set != row.main {
				w.printf("  %s %016x\n", row.name, uint64(row.set))
				w.compact("    ", row.set)
			}
		}
	}
}

func threadIDs(tids []int) string {
	const most = 12
	var words []string
	for _, tid := range tids[:min(len(tids), most)] {
		words = append(words, strconv.Itoa(tid))
	}
	text := "thread " + words[0]
	if len(words) > 1 {
		text = countOf(len(tids), "thread", "threads") + ": " + strings.Join(words, " ")
	}
	if more := len(tids) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// compare shows what each has that the other has not. A mask is compared with
// every mask of a process.
func (w *signalWriter) compare(a, b *signalSubject) {
	first, second := a.name, b.name
	if first == second {
		first, second = "the first", "the second"
	}
	w.printf("first:  %s\nsecond: %s\n", a.title(), b.title())
	if a.proc == nil && b.proc == nil {
		w.diff("", first, second, a.mask, b.mask)
		return
	}
	pick := func(s *signalSubject, name string) oneshot.SignalSet {
		if s.proc == nil {
			return s.mask
		}
		return s.row(name)
	}
	for _, row := range signalRows {
		w.printf("%s, %s\n", row.name, row.what)
		w.diff("  ", first, second, pick(a, row.name), pick(b, row.name))
	}
	of := func(s *signalSubject) (oneshot.SignalSet, bool) {
		if s.proc == nil {
			return s.mask, true
		}
		return s.listens.set, s.listens.known()
	}
	as, aOK := of(a)
	bs, bOK := of(b)
	if aOK && bOK {
		w.printf("listens to, as far as the runtime's thread shows it (not HUP, INT, QUIT, TERM)\n")
		w.diff("  ", first, second, as, bs)
	} else if a.goIs == goYes || b.goIs == goYes {
		w.printf("what a Go program really listens to is not known of both; oneshot signals PID says more\n")
	}
}

func (s *signalSubject) title() string {
	if s.proc == nil {
		return fmt.Sprintf("0x%016x, in decimal %d", uint64(s.mask), uint64(s.mask))
	}
	return fmt.Sprintf("process %d (%s), %s", s.proc.PID, cellText(s.proc.Name), s.goIs)
}

func (w *signalWriter) diff(indent, first, second string, a, b oneshot.SignalSet) {
	if a == b {
		w.printf("%sthe same in both, 0x%016x\n", indent, uint64(a))
		w.set(indent+"  ", a)
		return
	}
	for _, part := range []struct {
		name string
		set  oneshot.SignalSet
	}{{"only " + first, a &^ b}, {"only " + second, b &^ a}, {"both", a & b}} {
		w.printf("%s%s: 0x%016x\n", indent, part.name, uint64(part.set))
		w.set(indent+"  ", part.set)
	}
}

// compact prints the names in the set, or of those missing if they are fewer: a
// Go program blocks or catches nearly all. SIGKILL and SIGSTOP are in no mask.
func (w *signalWriter) compact(indent string, set oneshot.SignalSet) {
	switch missing := everySignal &^ set; {
	case missing == 0:
		w.printf("%sall\n", indent)
	case bits.OnesCount64(uint64(set)) > 32:
		w.names(indent, "all but", missing)
	default:
		w.set(indent, set)
	}
}

// set prints the names with their numbers.
func (w *signalWriter) set(indent string, set oneshot.SignalSet) { w.names(indent, "", set) }

// names prints words before them too, in lines of at most 100 characters.
func (w *signalWriter) names(indent, line string, set oneshot.SignalSet) {
	for _, name := range signalNames(set) {
		if line != "" && len(indent)+len(line)+1+len(name) > 100 {
			w.printf("%s%s\n", indent, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += name
	}
	w.printf("%s%s\n", indent, cmp.Or(line, "none"))
}

// signalNames are names with numbers, such as SIGUSR2(12).
func signalNames(set oneshot.SignalSet) (names []string) {
	for n := range 64 {
		if one := oneshot.SignalSet(1) << n; set&one != 0 {
			names = append(names, fmt.Sprintf("%v(%d)", one, n+1))
		}
	}
	return names
}
