package image

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// Bounds of labels.
const (
	maxLabels  = 100
	maxLabel   = 1 << 10
	maxBuckets = 64
)

// label is a pprof label.
type label struct{ key, value string }

// appendLabels appends the pprof labels of a goroutine as Go 1.27 writes them, always
// quoted: {"tenant": "acme"}. It appends nothing if there are none.
func (p *Program) appendLabels(b []byte, set uint64) []byte {
	if set == 0 {
		return b
	}
	var labels []label
	if p.Layout.Traits.LabelList {
		labels = p.labelList(set)
	} else {
		labels = p.labelMap(set)
	}
	for i, l := range labels {
		if i == 0 {
			b = append(b, '{')
		} else {
			b = append(b, ", "...)
		}
		b = append(strconv.AppendQuote(b, l.key), ": "...)
		b = strconv.AppendQuote(b, l.value)
	}
	if len(labels) > 0 {
		b = append(b, '}')
	}
	return b
}

// labelList reads the labels of Go 1.24 and later: a slice of pairs of strings.
func (p *Program) labelList(set uint64) (labels []label) {
	header, err := p.block(set, 16)
	if err != nil {
		return nil
	}
	list, n := record(header).word(0), record(header).word(8)
	if n > maxLabels {
		return nil
	}
	pairs, err := p.block(list, 32*n)
	if err != nil {
		return nil
	}
	for ; len(pairs) > 0; pairs = pairs[32:] {
		if l, ok := p.label(pairs[:16], pairs[16:]); ok {
			labels = append(labels, l)
		}
	}
	return labels
}

// labelMap reads the labels of releases until 1.23: a pointer to a map[string]string.
// They are sorted by their keys, as runtime/pprof shows them.
func (p *Program) labelMap(set uint64) (labels []label) {
	at, err := p.word(set)
	if err != nil {
		return nil
	}
	l := p.Layout.LabelMap
	h, err := p.record(at, l.Size)
	if err != nil || h.word(l.Count) > maxLabels || h.byte(l.B) > 6 {
		return nil
	}
	visited := 0
	for _, table := range []struct {
		at      uint64
		buckets uint64
	}{{h.word(l.Buckets), 1 << h.byte(l.B)}, {h.word(l.OldBuckets), 1 << max(h.byte(l.B), 1) / 2}} {
		for i := range table.buckets {
			bucket := table.at + i*layout.BucketSize
			for table.at != 0 && bucket != 0 && visited < maxBuckets {
				visited++
				b, err := p.block(bucket, layout.BucketSize)
				if err != nil {
					break
				}
				labels = p.appendBucket(labels, b)
				bucket = record(b).word(layout.BucketOverflow)
			}
		}
	}
	slices.SortFunc(labels, func(a, b label) int { return cmp.Compare(a.key, b.key) })
	return labels
}

func (p *Program) appendBucket(labels []label, b []byte) []label {
	for i := range layout.BucketSlots {
		if b[i] < layout.MinTopHash {
			continue
		}
		if l, ok := p.label(b[layout.BucketKeys+16*i:], b[layout.BucketValues+16*i:]); ok {
			labels = append(labels, l)
		}
	}
	return labels
}

// label reads two strings, of which key and value have the headers.
func (p *Program) label(key, value record) (l label, ok bool) {
	if l.key, ok = p.text(key.word(0), key.word(8)); ok {
		l.value, ok = p.text(value.word(0), value.word(8))
	}
	return l, ok
}

// text reads a string of the program.
func (p *Program) text(addr, n uint64) (string, bool) {
	s, err := p.block(addr, min(n, maxLabel))
	return string(s), err == nil || n == 0
}
