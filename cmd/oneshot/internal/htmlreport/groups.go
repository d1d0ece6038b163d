//go:build unix

package htmlreport

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/difference"
)

// groupData is a group of goroutines for the script.
type groupData struct {
	Count  int    `json:"n"`
	State  int    `json:"s"`
	Least  int    `json:"a,omitempty"` // minutes
	Most   int    `json:"b,omitempty"`
	Leaked int    `json:"l,omitempty"`
	Frames []int  `json:"f"`           // the innermost first
	Site   int    `json:"w"`           // index in Frames, or -1
	By     int    `json:"c"`           // the frame that has created them, or -1
	Labels string `json:"t,omitempty"` // the pprof labels
	IDs    string `json:"i,omitempty"` // some ids
}

// Bounds of one group.
const (
	maxFrames = 120
	maxIDs    = 8
	maxLabels = 3
	maxString = 500 // bytes
)

// pool keeps each string and each frame of the data once.
type pool struct {
	data    *data
	strings map[string]int
	frames  map[[3]int]int
	bytes   int // about how many bytes the strings and frames take
}

func newPool(d *data) *pool {
	d.Strings, d.Frames, d.Groups, d.Flames, d.Places = []string{}, [][3]int{}, []groupData{}, []flame{}, [][]int{}
	return &pool{data: d, strings: make(map[string]int), frames: make(map[[3]int]int)}
}

// pooled returns the form of a string in the pool.
func pooled(s string) string { return plain(clip(s, maxString)) }

func (p *pool) string(s string) int {
	s = pooled(s)
	i, ok := p.strings[s]
	if !ok {
		i = len(p.data.Strings)
		p.strings[s] = i
		p.data.Strings = append(p.data.Strings, s)
		p.bytes += len(strconv.Quote(s)) + 1
	}
	return i
}

func (p *pool) frame(f frameDocument) int {
	key := [3]int{p.string(f.Function), p.string(f.File), f.Line}
	i, ok := p.frames[key]
	if !ok {
		i = len(p.data.Frames)
		p.frames[key] = i
		p.data.Frames = append(p.data.Frames, key)
		p.bytes += 20
	}
	return i
}

// lookUp returns a frame that is in the pool already.
func (p *pool) lookUp(f frameDocument) (frame int, ok bool) {
	function, ok1 := p.strings[pooled(f.Function)]
	file, ok2 := p.strings[pooled(f.File)]
	frame, ok3 := p.frames[[3]int{function, file, f.Line}]
	return frame, ok1 && ok2 && ok3
}

// addGroups adds the groups, the largest first, until they take most bytes.
func (r *report) addGroups(p *pool, s *stacksDocument, most int) {
	bytes, left, leftCount := 0, 0, 0
	for i := range s.Groups {
		g := &s.Groups[i]
		if bytes+p.bytes > most {
			left, leftCount = left+1, leftCount+g.Count
			continue
		}
		d := p.group(g)
		bytes += 60 + 6*len(d.Frames) + len(d.Labels) + len(d.IDs)
		p.data.Groups = append(p.data.Groups, d)
	}
	r.Groups = len(p.data.Groups)
	if left > 0 {
		r.Remarks = append(r.Remarks, fmt.Sprintf("The page has no room for the smallest %d groups, with %d goroutines; the bundle has them.", left, leftCount))
	}
	if s.MoreGroups > 0 {
		r.Remarks = append(r.Remarks, fmt.Sprintf("%d smaller groups are not in the bundle.", s.MoreGroups))
	}
}

func (p *pool) group(g *groupDocument) groupData {
	d := groupData{Count: g.Count, State: p.string(g.State), Least: g.Least, Most: g.Most, Leaked: g.Leaked, Frames: []int{}, Site: -1, By: -1}
	for i, f := range g.Frames {
		if i == maxFrames {
			d.Frames = append(d.Frames, p.frame(frameDocument{Function: fmt.Sprintf("...%d frames more...", len(g.Frames)-i)}))
			break
		}
		if g.Site != nil && f == *g.Site && d.Site < 0 {
			d.Site = i
		}
		d.Frames = append(d.Frames, p.frame(f))
	}
	if g.CreatedBy != nil {
		d.By = p.frame(*g.CreatedBy)
	}
	for i, l := range g.Labels {
		if i == maxLabels {
			d.Labels += " ..."
			break
		}
		if i > 0 {
			d.Labels += ", "
		}
		d.Labels += fmt.Sprintf("%d %s", l.Count, plain(clip(l.Labels, maxString)))
	}
	for i, m := range g.Goroutines {
		if i == maxIDs {
			d.IDs += " ..."
			break
		}
		if i > 0 {
			d.IDs += " "
		}
		d.IDs += strconv.FormatUint(m.ID, 10)
		if m.To > m.ID {
			d.IDs += "-" + strconv.FormatUint(m.To, 10)
		}
	}
	return d
}

// groupsOfProfile returns the groups of the goroutine profile, which has no states, or nil
// if there is none.
func groupsOfProfile(b *bundle.Bundle) *stacksDocument {
	data, err := b.Part("profiles/goroutine.pb.gz")
	if err != nil {
		return nil
	}
	prof, err := difference.Parse(data)
	if err != nil || len(prof.SampleType) == 0 {
		return nil
	}
	s := new(stacksDocument)
	for _, sample := range prof.Sample {
		g := groupDocument{Count: int(sample.Value[0])}
		for _, l := range sample.Location {
			for _, line := range l.Line {
				if line.Function != nil {
					g.Frames = append(g.Frames, frameDocument{line.Function.Name, line.Function.Filename, int(line.Line)})
				}
			}
		}
		g.Site = ownFrame(g.Frames)
		var labels []string
		for key, values := range sample.Label {
			labels = append(labels, fmt.Sprintf("%q:%q", key, strings.Join(values, ",")))
		}
		if len(labels) > 0 {
			slices.Sort(labels)
			g.Labels = []labelDocument{{"{" + strings.Join(labels, ", ") + "}", g.Count}}
		}
		s.Groups, s.Total = append(s.Groups, g), s.Total+g.Count
	}
	slices.SortStableFunc(s.Groups, func(a, b groupDocument) int { return cmp.Compare(b.Count, a.Count) })
	return s
}

// ownFrame returns the innermost frame that is not of the runtime or of the standard
// library, or nil. The first element of an import path has a dot, except in those and in
// package main.
func ownFrame(frames []frameDocument) *frameDocument {
	for i, f := range frames {
		first, _, below := strings.Cut(f.Function, "/")
		if strings.HasPrefix(f.Function, "main.") || below && strings.Contains(first, ".") {
			return &frames[i]
		}
	}
	return nil
}
