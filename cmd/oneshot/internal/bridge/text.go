//go:build linux

package bridge

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/difference"
)

// writeText writes a profile as net/http/pprof does with ?debug=1. go tool pprof reads
// this form too. The values are those of the profile, which the runtime has scaled
// already; the text says that no scaling is needed. There are no lines about the memory
// of the runtime: they would need a stop of the program.
func writeText(to io.Writer, name string, data []byte, names *symbols) error {
	p, err := difference.Parse(data)
	if err != nil {
		return err
	}
	names.keep(p)
	w := &textWriter{Writer: bufio.NewWriter(to)}
	kinds := make([]string, len(p.SampleType))
	for i, t := range p.SampleType {
		kinds[i] = t.Type
	}
	switch strings.Join(kinds, " ") {
	case "alloc_objects alloc_space inuse_objects inuse_space":
		w.heap(p)
	case "contentions delay":
		w.waits(p, name)
	default:
		w.counts(p, name)
	}
	return w.Flush()
}

// textWriter keeps the first error of a write until Flush.
type textWriter struct{ *bufio.Writer }

func (w *textWriter) printf(format string, args ...any) { fmt.Fprintf(w, format, args...) }

func (w *textWriter) heap(p *profile.Profile) {
	var sum [4]int64
	for _, s := range p.Sample {
		for i := range sum {
			sum[i] += s.Value[i]
		}
	}
	// heap/2 is a rate of one: every byte was counted, and nothing is to be scaled.
	w.printf("heap profile: %d: %d [%d: %d] @ heap/2\n", sum[2], sum[3], sum[0], sum[1])
	for _, s := range p.Sample {
		w.printf("%d: %d [%d: %d] @", s.Value[2], s.Value[3], s.Value[0], s.Value[1])
		w.stack(s, false)
	}
}

func (w *textWriter) waits(p *profile.Profile, name string) {
	what := name
	if name == "block" {
		what = "contention"
	}
	w.printf("--- %s:\ncycles/second=1000000000\n", what)
	if name == "mutex" {
		w.printf("sampling period=1\n")
	}
	for _, s := range p.Sample {
		w.printf("%d %d @", s.Value[1], s.Value[0])
		w.stack(s, false)
	}
}

func (w *textWriter) counts(p *profile.Profile, name string) {
	var total int64
	for _, s := range p.Sample {
		total += s.Value[0]
	}
	w.printf("%s profile: total %d\n", strings.ReplaceAll(name, " ", "_"), total)
	for _, s := range p.Sample {
		w.printf("%d @", s.Value[0])
		w.stack(s, true)
	}
}

// stack writes the addresses of a sample, and for each a line for people. The addresses
// in the first line are return addresses, as the runtime writes them.
func (w *textWriter) stack(s *profile.Sample, labels bool) {
	for _, l := range s.Location {
		if l.Address != 0 { // threadcreate has such
			w.printf(" %#x", l.Address+1)
		}
	}
	w.printf("\n")
	if labels && len(s.Label) > 0 {
		var all []string
		for _, key := range slices.Sorted(maps.Keys(s.Label)) {
			all = append(all, fmt.Sprintf("%q:%q", key, strings.Join(s.Label[key], ",")))
		}
		w.printf("# labels: {%s}\n", strings.Join(all, ", "))
	}
	for _, l := range s.Location {
		for _, line := range l.Line {
			if line.Function != nil && l.Address != 0 {
				w.printf("#\t%#x\t%s\t%s:%d\n", l.Address, oneLine(line.Function.Name), oneLine(line.Function.Filename), line.Line)
			}
		}
	}
	w.printf("\n")
}

// oneLine removes line ends from a name, which a hostile program may have put there.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
