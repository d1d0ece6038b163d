//go:build unix

// Package stackprofile makes a goroutine profile, in the format of go tool pprof, out of the
// groups of goroutines that a command has printed as JSON. It asks the program for nothing.
package stackprofile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gomanhole/oneshot/internal/document"
)

// Comment is in each profile.
const Comment = "the groups of stacks.json: groups that differ only in library frames are one, and there are no labels"

// Bounds on what the program may send.
const (
	maxDepth     = 512 // frames of a stack
	maxLocations = 1 << 20
)

// Write writes a profile of the groups in stacks, which is the answer of the command stacks
// -json, to w. The largest group comes first.
func Write(w io.Writer, stacks []byte) error {
	var s document.Stacks
	if err := json.Unmarshal(stacks, &s); err != nil {
		return fmt.Errorf("the program has sent stacks that cannot be read: %w", err)
	}
	if len(s.Groups) == 0 {
		return errors.New("there are no groups of goroutines")
	}
	at, err := time.Parse(time.RFC3339Nano, s.Process.At)
	if err != nil {
		at = time.Now() // of a core there is no time
	}
	kind := &profile.ValueType{Type: "goroutine", Unit: "count"} // as in runtime/pprof
	p := &profile.Profile{
		SampleType: []*profile.ValueType{kind}, PeriodType: kind, Period: 1,
		TimeNanos: at.UnixNano(), Comments: []string{Comment},
	}
	b := builder{p, make(map[document.Frame]*profile.Location), make(map[[2]string]*profile.Function)}
	for _, g := range s.Groups {
		sample := &profile.Sample{Value: []int64{int64(g.Count)}}
		for _, f := range g.Frames[:min(len(g.Frames), maxDepth)] {
			sample.Location = append(sample.Location, b.location(f))
		}
		p.Sample = append(p.Sample, sample)
		if len(p.Location) > maxLocations {
			return errors.New("the program has sent stacks with too many functions")
		}
	}
	return p.Write(w)
}

type builder struct {
	profile   *profile.Profile
	locations map[document.Frame]*profile.Location
	functions map[[2]string]*profile.Function // by name and file
}

func (b *builder) location(f document.Frame) *profile.Location {
	if at := b.locations[f]; at != nil {
		return at
	}
	name := [2]string{f.Function, f.File}
	function := b.functions[name]
	if function == nil {
		function = &profile.Function{ID: uint64(len(b.profile.Function) + 1), Name: f.Function, SystemName: f.Function, Filename: f.File}
		b.functions[name] = function
		b.profile.Function = append(b.profile.Function, function)
	}
	at := &profile.Location{ID: uint64(len(b.profile.Location) + 1), Line: []profile.Line{{Function: function, Line: int64(f.Line)}}}
	b.locations[f] = at
	b.profile.Location = append(b.profile.Location, at)
	return at
}
