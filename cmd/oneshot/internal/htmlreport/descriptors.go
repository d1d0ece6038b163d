//go:build unix

package htmlreport

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/internal/document"
)

// descriptors is the table of the open descriptors.
type descriptors struct {
	Open  string // how many are open, of how many
	Kinds []fact // the most frequent first
	Rows  []descriptor
	Left  int // descriptors without a row
}

// descriptor is a row of the table.
type descriptor struct {
	FD                          int
	Kind, State, Target, Detail string
}

// Bounds of the table.
const (
	maxRows  = 300
	maxKinds = 30
	maxWord  = 40  // bytes of a kind or state
	maxCell  = 250 // bytes of a target or detail
)

// readDescriptors reads the part with the form of the command fds. It returns nil if there
// is none, or if it is something else.
func readDescriptors(b *bundle.Bundle) *document.FDs {
	data, err := b.Part("fds.json")
	if err != nil {
		return nil
	}
	var fds document.FDs
	if json.Unmarshal(data, &fds) != nil || fds.Schema != "oneshot/fds" {
		return nil
	}
	return &fds
}

// addDescriptors adds the table, or the text if the bundle has no table, with at most so many
// bytes.
func (r *report) addDescriptors(b *bundle.Bundle, fds *document.FDs, most int) {
	if fds == nil {
		if data, err := b.Part(descriptorsText); err == nil && len(data) > 0 {
			t := cut(descriptorsText, data, most)
			r.DescriptorsText = &t
		}
		return
	}
	d := &descriptors{Open: fmt.Sprintf("%d of %d", fds.Open, fds.Limit)}
	if fds.Limit == math.MaxUint64 {
		d.Open = fmt.Sprintf("%d, without a limit", fds.Open)
	}
	kinds := slices.SortedFunc(maps.Keys(fds.Kinds), func(a, b string) int {
		return cmp.Or(cmp.Compare(fds.Kinds[b], fds.Kinds[a]), strings.Compare(a, b))
	})
	for _, kind := range kinds[:min(len(kinds), maxKinds)] {
		d.Kinds = append(d.Kinds, fact{plain(clip(kind, maxWord)), fmt.Sprint(fds.Kinds[kind])})
	}
	for i := range fds.Rows[:min(len(fds.Rows), maxRows)] {
		row := row(&fds.Rows[i])
		if most -= len(row.Kind) + len(row.State) + len(row.Target) + len(row.Detail); most < 0 {
			break
		}
		d.Rows = append(d.Rows, row)
	}
	d.Left = max(fds.Open, len(fds.Rows)) - len(d.Rows)
	r.Descriptors = d
}

// descriptorsText is the part with the descriptors as text.
const descriptorsText = "fds.txt"

func row(fd *document.FD) descriptor {
	var details []string
	add := func(ok bool, detail string) {
		if ok {
			details = append(details, plain(clip(detail, maxCell)))
		}
	}
	add(fd.Detail != "", fd.Detail)
	add(fd.Signals != "", fd.Signals)
	if fd.Size != nil {
		add(true, size(uint64(max(*fd.Size, 0))))
	}
	add(fd.Deleted, "deleted")
	add(fd.Inherited, "inherited by children")
	add(fd.Replaced, "replaced while it was read")
	return descriptor{fd.FD, plain(clip(fd.Kind, maxWord)), plain(clip(fd.State, maxWord)), plain(clip(fd.Target, maxCell)), strings.Join(details, ", ")}
}
