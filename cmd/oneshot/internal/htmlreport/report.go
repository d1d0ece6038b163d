//go:build unix

// Package htmlreport makes one HTML page of a bundle. The page needs nothing else: it has
// its style, its script and its data, and its Content-Security-Policy forbids everything
// that is not in it. Every text in a bundle may come from a hostile program. It does not
// know how a bundle was made, and opens no file.
package htmlreport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/internal/document"
)

// MaxBytes is the size of the largest page.
const MaxBytes = 2_000_000

// report is what the page shows.
type report struct {
	Title           string
	Facts           []fact
	Remarks         []string // what is missing, and why
	Findings        []finding
	Searched        bool // the rules were applied, so no finding means something
	Vitals          []fact
	Screen          string // the first screen, if there is nothing better
	Groups          int    // the number of groups in Data
	Flames          []flameHead
	Descriptors     *descriptors // nil: there is only DescriptorsText, or nothing
	DescriptorsText *text
	Texts           []text
	Manifest        *bundle.Manifest
	Parts           []bundle.Part // of the manifest
	Data            data          // for the script
}

// fact is a name and a value.
type fact struct{ Name, Value string }

// text is a part that is shown as it is.
type text struct {
	Name string
	Body string
	Left int // bytes that are left out
}

// data is what the script gets.
type data struct {
	Strings []string    `json:"strings"` // the functions, files, states and labels below are indexes into it
	Frames  [][3]int    `json:"frames"`  // function, file, line
	Groups  []groupData `json:"groups"`
	Flames  []flame     `json:"flames"`
	Places  [][]int     `json:"places"` // of each finding, the frames that it names
}

// limits bound what goes into a page. If the page is too large, they are halved.
type limits struct {
	groups int // bytes of the groups
	nodes  int // of each flame graph
	text   int // bytes of each text; the descriptors have half of it
}

var firstLimits = limits{groups: 800_000, nodes: 4000, text: 64 << 10}

// How many of each a page has.
const (
	maxFlames = 24
	maxTexts  = 100
	maxParts  = 200 // in the manifest
)

const maxName = 100 // bytes

// Write writes the page of a bundle.
func Write(w io.Writer, b *bundle.Bundle) error {
	s := read(b)
	l := firstLimits
	for range 12 {
		r := newReport(b, s, l)
		var out bytes.Buffer
		if err := r.write(&out); err != nil {
			return err
		}
		if out.Len() <= MaxBytes {
			_, err := w.Write(out.Bytes())
			return err
		}
		l.groups, l.nodes, l.text = l.groups/2, l.nodes/2, l.text/2
	}
	return errors.New("the report is too large: the bundle has too many parts")
}

// source is what was read of the bundle.
type source struct {
	screen, stacks *stacksDocument // nil: there is none
	groups         *stacksDocument // the best there is; nil: nothing
	graphs         []graph
	descriptors    *document.FDs // nil: there is none
}

func read(b *bundle.Bundle) (s source) {
	s.screen, s.stacks = readStacks(b, "screen.json"), readStacks(b, "stacks.json")
	s.groups, s.graphs, s.descriptors = s.stacks, graphs(b, s.stacks), readDescriptors(b)
	if s.groups == nil || len(s.groups.Groups) == 0 {
		s.groups = groupsOfProfile(b) // it has no states
	}
	return s
}

func newReport(b *bundle.Bundle, s source, l limits) *report {
	r := &report{Title: plain(b.Name), Manifest: b.Manifest}
	if b.Truncated != nil {
		r.Remarks = append(r.Remarks, plain("The bundle was cut off: "+b.Truncated.Error()))
	}
	pool := newPool(&r.Data)
	best := s.screen // for what both have
	if best == nil {
		best = s.stacks
	}
	r.identify(b.Manifest, best)
	if best != nil {
		r.Searched = best.Searched
		for _, note := range best.Notes[:min(len(best.Notes), maxRemarks)] {
			r.Remarks = append(r.Remarks, plain(clip(note, maxString)))
		}
	}
	if s.groups != nil {
		r.addGroups(pool, s.groups, l.groups)
	}
	if best != nil {
		r.addFindings(pool, best.Findings)
	}
	if s.screen != nil && s.screen.Vitals != nil {
		r.Vitals = s.screen.Vitals.facts()
	}
	if best == nil || len(r.Vitals) == 0 {
		r.Screen = screenText(b, l.text)
	}
	r.addFlames(pool, s.graphs, l.nodes)
	r.addDescriptors(b, s.descriptors, l.text/2)
	r.addTexts(b, l.text)
	if b.Manifest != nil {
		r.Parts = b.Manifest.Parts[:min(len(b.Manifest.Parts), maxParts)]
	}
	return r
}

// screenText returns the first screen, or else what comes before the groups in the text of
// all stacks.
func screenText(b *bundle.Bundle, most int) string {
	data, err := b.Part("screen.txt")
	if err != nil || len(data) == 0 {
		if data, err = b.Part("stacks.txt"); err != nil {
			return ""
		}
		if at := bytes.Index(data, []byte(" by identical stacks")); at >= 0 {
			data = data[:bytes.LastIndexByte(data[:at], '\n')+1]
		}
	}
	return strings.TrimSpace(cut("", data, most).Body)
}

// identify says which process the page is about.
func (r *report) identify(m *bundle.Manifest, s *stacksDocument) {
	add := func(name, format string, args ...any) {
		r.Facts = append(r.Facts, fact{name, plain(clip(fmt.Sprintf(format, args...), maxString))})
	}
	if m != nil {
		r.Title = plain(fmt.Sprintf("%s, pid %d on %s", clip(m.Program, maxName), m.PID, clip(m.Host, maxName)))
		add("Collected", "%s, in %v", m.Began.Format(time.RFC3339), m.Ended.Sub(m.Began).Round(time.Millisecond))
		if m.Outside {
			add("Read", "from outside, without the help of the program")
		}
		if m.End != bundle.Complete && m.End != "" {
			r.Remarks = append(r.Remarks, plain("The collection ended early: "+clip(m.End, maxName)+"."))
		}
	}
	if s == nil {
		return
	}
	p := s.Process
	if m == nil && p.Name != "" {
		r.Title = plain(fmt.Sprintf("%s, pid %d on %s", clip(p.Name, maxName), p.PID, clip(p.Host, maxName)))
		add("Collected", "%s", p.At)
	}
	if p.Module != "" {
		revision := p.Revision
		if p.Modified {
			revision += "+dirty"
		}
		add("Module", "%s", strings.TrimSpace(p.Module+" "+p.Version+" "+revision))
	}
	if p.Go != "" {
		add("Built with", "%s for %s/%s", p.Go, p.OS, p.Arch)
	}
	if p.Uptime > 0 {
		add("Running for", "%v", time.Duration(p.Uptime*float64(time.Second)).Round(time.Second))
	}
}

// notShown are the parts that the page shows in another way, or that are no text.
func notShown(name string) bool {
	return name == bundle.ManifestName || name == descriptorsText || strings.HasPrefix(name, "profiles/") || strings.HasPrefix(name, "trace") ||
		strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".gz")
}

// addTexts adds the text parts, in the order of the bundle, but those that people want
// first at the beginning.
func (r *report) addTexts(b *bundle.Bundle, most int) {
	first := []string{"leaks.txt", "mem.txt", "threads.txt", "screen.txt"}
	names := slices.DeleteFunc(b.Names(), notShown)
	rank := func(name string) int {
		if i := slices.Index(first, name); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	left := 8 * most // all texts together
	for _, name := range names {
		data, err := b.Part(name)
		if err != nil || len(data) == 0 || len(r.Texts) == maxTexts {
			continue
		}
		t := cut(name, data, min(most, left))
		left -= len(t.Body)
		r.Texts = append(r.Texts, t)
	}
}

// cut returns a text of at most so many bytes that a page can show.
func cut(name string, data []byte, most int) text {
	kept := data[:min(len(data), max(most, 0))]
	for len(kept) > 0 && len(kept) < len(data) && !utf8.RuneStart(data[len(kept)]) { // not in the middle of a character
		kept = kept[:len(kept)-1]
	}
	return text{Name: plain(clip(name, maxName)), Body: plain(string(kept)), Left: len(data) - len(kept)}
}
