//go:build unix

package masks

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
)

// printer writes to w until an error occurs.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

func (p *printer) note(s *subject) {
	if s.note != "" {
		p.printf("%s\n", s.note)
	}
}

func (p *printer) subject(s *subject) {
	if s.isMask() {
		p.printf("%s: %s\n", s.title(), display.Count(count(s.mask), "signal", "signals"))
		p.names("  ", "", s.mask)
		return
	}
	p.printf("%s\n", s.title())
	for _, r := range s.rows {
		p.printf("%s %016x  %s\n", r.name, uint64(r.set), r.meaning)
		p.compact("  ", r.set)
	}
	p.threads(s)
	p.listening(s)
}

func (s *subject) title() string {
	if s.isMask() {
		return fmt.Sprintf("0x%016x, in decimal %d", uint64(s.mask), uint64(s.mask))
	}
	return fmt.Sprintf("process %d (%s), %s", s.proc.PID, display.Cell(s.proc.Name), s.kind)
}

// threads prints the masks of the threads that differ from the main thread. Threads
// with the same masks form one group.
func (p *printer) threads(s *subject) {
	main := s.threads[0].threadMasks
	groups, order, different := make(map[threadMasks][]int), []threadMasks{}, 0
	for _, t := range s.threads[1:] {
		if t.threadMasks == main {
			continue
		}
		if groups[t.threadMasks] == nil {
			order = append(order, t.threadMasks)
		}
		groups[t.threadMasks] = append(groups[t.threadMasks], t.tid)
		different++
	}
	p.printf("%s", display.Count(len(s.threads), "thread", "threads"))
	switch {
	case len(s.threads) == 1:
		p.printf("\n")
	case different == 0:
		p.printf(", all with the same blocked and pending signals\n")
	default:
		p.printf(", %d different from the main thread:\n", different)
	}
	for _, m := range order {
		p.printf("%s\n", threadList(groups[m]))
		p.threadMask("SigPnd", m.pending, main.pending)
		p.threadMask("SigBlk", m.blocked, main.blocked)
	}
}

// threadMask prints a mask of a thread if it differs from the main thread's.
func (p *printer) threadMask(name string, set, main oneshot.SignalSet) {
	if set != main {
		p.printf("  %s %016x\n", name, uint64(set))
		p.compact("    ", set)
	}
}

func threadList(tids []int) string {
	const most = 12
	var words []string
	for _, tid := range tids[:min(len(tids), most)] {
		words = append(words, strconv.Itoa(tid))
	}
	if len(words) == 1 {
		return "thread " + words[0]
	}
	list := display.Count(len(tids), "thread", "threads") + ": " + strings.Join(words, " ")
	if more := len(tids) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}

// listening prints which signals a Go program listens to, how that is known, and
// what is not known.
func (p *printer) listening(s *subject) {
	switch s.kind {
	case unknownProgram:
		p.printf("If it is a Go program, SigCgt says little: the Go runtime catches nearly every signal itself. Run this\n" +
			"as root to find out.\n")
		return
	case otherProgram:
		return
	}
	l := s.listening
	switch {
	case l.tid == 0:
		p.printf("listens to: not known\n" +
			"  No thread looks like the signal thread of the Go runtime. Either the program has never called\n" +
			"  signal.Notify (or is linked without os/signal), or it has asked for nearly all signals.\n")
	case l.unsure:
		p.printf("listens to: not known\n"+
			"  %d threads look like the signal thread of the Go runtime.\n", l.others+1)
	default:
		p.printf("listens to\n")
		p.names("  ", "", l.set)
		p.printf("  Thread %d is the signal thread of the Go runtime. Of the signals that it may block, it blocks all\n"+
			"  except those that the program has asked for with signal.Notify.\n", l.tid)
		if l.others > 0 {
			p.printf("  %s all of them, as the session of a manhole does.\n", display.Count(l.others, "other thread blocks", "other threads block"))
		}
	}
	ignored := s.row("SigIgn") & undetectable
	if hidden := undetectable &^ ignored; hidden != 0 {
		p.printf("not known: whether it also listens to %v. The runtime never blocks them on that thread.\n", hidden)
	}
	if ignored != 0 {
		p.printf("ignored, so it does not listen to: %v\n", ignored)
	}
	p.printf("SigCgt says little here: the Go runtime catches nearly every signal itself. If the program has not asked\n" +
		"for a signal, the runtime does what the default action would have done.\n")
}

// compare prints the signals that only a has, that only b has, and that both have.
func (p *printer) compare(a, b *subject) {
	first, second := a.name, b.name
	if first == second {
		first, second = "the first", "the second"
	}
	p.printf("first:  %s\nsecond: %s\n", a.title(), b.title())
	if a.isMask() && b.isMask() {
		p.diff("", first, second, a.mask, b.mask)
		return
	}
	set := func(s *subject, name string) oneshot.SignalSet {
		if s.isMask() {
			return s.mask
		}
		return s.row(name)
	}
	for _, r := range processRows {
		p.printf("%s, %s\n", r.name, r.meaning)
		p.diff("  ", first, second, set(a, r.name), set(b, r.name))
	}
	listens := func(s *subject) (set oneshot.SignalSet, known bool) {
		if s.isMask() {
			return s.mask, true
		}
		return s.listening.set, s.listening.known()
	}
	as, aKnown := listens(a)
	bs, bKnown := listens(b)
	if aKnown && bKnown {
		p.printf("listens to, as far as the runtime's signal thread shows it (not HUP, INT, QUIT, TERM)\n")
		p.diff("  ", first, second, as, bs)
	} else if a.kind == goProgram || b.kind == goProgram {
		p.printf("which signals each of them listens to is not known; oneshot signals PID says more\n")
	}
}

func (p *printer) diff(indent, first, second string, a, b oneshot.SignalSet) {
	if a == b {
		p.printf("%sthe same in both, 0x%016x\n", indent, uint64(a))
		p.names(indent+"  ", "", a)
		return
	}
	for _, part := range []struct {
		name string
		set  oneshot.SignalSet
	}{{"only " + first, a &^ b}, {"only " + second, b &^ a}, {"both", a & b}} {
		p.printf("%s%s: 0x%016x\n", indent, part.name, uint64(part.set))
		p.names(indent+"  ", "", part.set)
	}
}

// compact prints the names of the signals in the set. If more than half of all
// signals are in it, compact prints the missing ones instead: Go programs often block
// or catch nearly all. SIGKILL and SIGSTOP do not count, because no mask has them.
func (p *printer) compact(indent string, set oneshot.SignalSet) {
	switch missing := allBlockable &^ set; {
	case missing == 0:
		p.printf("%sall\n", indent)
	case count(set) > 32:
		p.names(indent, "all but", missing)
	default:
		p.names(indent, "", set)
	}
}

// names prints prefix and then the signals in the set, in lines of at most 100
// characters.
func (p *printer) names(indent, prefix string, set oneshot.SignalSet) {
	const width = 100
	line := prefix
	for _, name := range signalNames(set) {
		if line != "" && len(indent)+len(line)+1+len(name) > width {
			p.printf("%s%s\n", indent, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += name
	}
	p.printf("%s%s\n", indent, cmp.Or(line, "none"))
}

// signalNames returns names with numbers, such as SIGUSR2(12).
func signalNames(set oneshot.SignalSet) (names []string) {
	for n := range 64 {
		if one := oneshot.SignalSet(1) << n; set&one != 0 {
			names = append(names, fmt.Sprintf("%v(%d)", one, n+1))
		}
	}
	return names
}
