package command

import (
	"cmp"
	"runtime"
	"runtime/pprof"
	"strconv"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

// profileTexts describe the profiles of the runtime.
var profileTexts = map[string]string{
	"allocs":       "what was allocated since the start, by place",
	"block":        "where goroutines waited for each other",
	"goroutine":    "the stacks of all goroutines",
	leakProfile:    "goroutines that nothing can wake any more; taking it runs two collections, which count them",
	"heap":         "what was in use at the last collection, by place",
	"mutex":        "where locks were held that others waited for",
	"threadcreate": "where new threads were created",
}

// profilesAnswer is the answer of profile without a name.
type profilesAnswer struct{ document.Profiles }

func listProfiles() Answer {
	a := &profilesAnswer{document.Profiles{Head: document.Of("profile"), CPUSeconds: cpuTime.Seconds()}}
	for _, p := range pprof.Profiles() {
		row := document.Profile{Name: p.Name(), Text: cmp.Or(profileTexts[p.Name()], "the program's own"), Off: profileOff(p.Name())}
		if n := p.Count(); n > 0 || p.Name() != leakProfile { // 0: none, or not counted yet; the runtime does not distinguish these
			row.Count = &n
		}
		a.Rows = append(a.Rows, row)
	}
	return a
}

// Text implements Answer.
func (a *profilesAnswer) Text(t *dump.Writer) {
	t.Printf("%-14s %8s  where the program uses the CPU, for %v by default\n", "cpu", "", seconds(a.CPUSeconds))
	for _, p := range a.Rows {
		count, text := "", p.Text
		if p.Count != nil {
			count = strconv.Itoa(*p.Count)
		}
		if p.Off != "" {
			text += "; " + p.Off
		}
		t.Printf("%-14s %8s  %s\n", plaintext.Line(p.Name), count, text)
	}
	t.Printf("take one with profile NAME -o FILE\n")
}

// profileOff returns a text if nothing is recorded for a profile. The text also
// says how to turn it on. It returns "" if the profile is on, or is always
// available.
func profileOff(name string) string {
	switch name {
	case "heap", "allocs":
		if runtime.MemProfileRate == 0 {
			return "memory profiling is off; only the program can turn it on, where it starts (runtime.MemProfileRate)"
		}
	case "mutex":
		if runtime.SetMutexProfileFraction(-1) == 0 {
			return "mutex profiling is off; mutexfraction N turns it on, 1 for all"
		}
	case "block":
		blockRate.mu.Lock()
		defer blockRate.mu.Unlock()
		switch {
		case blockRate.known && blockRate.rate == 0:
			return "block profiling is off; blockrate N turns it on, 1 for all"
		case !blockRate.known && pprof.Lookup("block").Count() == 0:
			return "block profiling seems to be off, because nothing was recorded; blockrate N turns it on, 1 for all"
		}
	}
	return ""
}
