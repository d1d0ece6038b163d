//go:build unix

package htmlreport

// finding is one thing that stands out.
type finding struct {
	Title  string          `json:"title"`
	Lines  []string        `json:"lines"`
	Places []frameDocument `json:"places"`
	Next   string          `json:"next"`
}

// Bounds of the findings and the remarks. A program has at most a few of them.
const (
	maxFindings = 30
	maxLines    = 20  // of a finding
	maxLine     = 300 // bytes
	maxRemarks  = 20
)

// clean returns the finding for the page.
func (f finding) clean() finding {
	f.Title, f.Next = plain(clip(f.Title, maxLine)), plain(clip(f.Next, maxLine))
	lines := f.Lines[:min(len(f.Lines), maxLines)]
	f.Lines = nil
	for _, line := range lines {
		f.Lines = append(f.Lines, plain(clip(line, maxLine)))
	}
	return f
}

// addFindings adds the findings, and for each one the frames of the groups that it names.
// The groups must be in the pool.
func (r *report) addFindings(p *pool, found []finding) {
	for _, f := range found[:min(len(found), maxFindings)] {
		r.Findings = append(r.Findings, f.clean())
		r.Data.Places = append(r.Data.Places, p.known(f.Places))
	}
}

// known returns the frames of the pool that are these places. Many goroutines are at a
// place of the runtime or of the standard library, such as time.Sleep, for other reasons:
// it counts only if the program's own code is not among the places.
func (p *pool) known(places []frameDocument) []int {
	places = places[:min(len(places), maxLines)]
	own := ownFrame(places) != nil
	all := []int{}
	for i, place := range places {
		if own && ownFrame(places[i:i+1]) == nil {
			continue
		}
		if frame, ok := p.lookUp(place); ok {
			all = append(all, frame)
		}
	}
	return all
}
