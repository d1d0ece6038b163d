// Package pprofdelta writes what changed in a profile between two moments, in the
// format of go tool pprof, as net/http/pprof does for ?seconds= (serveDeltaProfile
// there). It stops nothing and starts no collection.
package pprofdelta

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"
)

// A kind is a sort of profile as runtime/pprof describes it in the file. The last
// of its values is what pprof shows, unless shown says otherwise.
type kind struct {
	name    string
	values  []valueType
	shown   string
	period  valueType
	hideTop bool // the runtime's frames at the top, where every allocation ends
	read    func() (*Sample, error)
}

type valueType struct{ name, unit string }

// From writeHeapInternal, writeHeapProto, writeProfileInternal and
// printCountCycleProfile in runtime/pprof.
var (
	memoryValues = []valueType{
		{"alloc_objects", "count"}, {"alloc_space", "bytes"}, {"inuse_objects", "count"}, {"inuse_space", "bytes"},
	}
	waitValues = []valueType{{"contentions", "count"}, {"delay", "nanoseconds"}}
)

var kinds = []kind{
	{"heap", memoryValues, "", valueType{"space", "bytes"}, true, readMemory},
	{"allocs", memoryValues, "alloc_space", valueType{"space", "bytes"}, true, readMemory},
	{"block", waitValues, "", waitValues[0], false, func() (*Sample, error) { return readWaits(runtime.BlockProfile) }},
	{"mutex", waitValues, "", waitValues[0], false, func() (*Sample, error) { return readWaits(runtime.MutexProfile) }},
}

func find(name string) int {
	return slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
}

// Has tells whether there is a profile of that name to Take.
func Has(name string) bool { return find(name) >= 0 }

// Sample is a profile at one moment.
type Sample struct {
	kind    *kind
	at      time.Time
	period  int64
	scale   func(values) values // makes of raw values what the file has
	records map[key]values
}

// A key tells records apart. The runtime keeps allocations of one place by their
// sizes, and so does the file, in a label.
type key struct {
	stack [32]uintptr // from the top, zero where it is shorter
	size  int64       // bytes of an object; 0 for what is no allocation
}

// values are as many as the kind has, the others zero.
type values [4]int64

func (v values) add(w values, sign int64) values {
	for i := range v {
		v[i] += sign * w[i]
	}
	return v
}

// Take reads the profile of that name as it is now: heap, allocs, block or mutex.
// What it keeps grows with the number of places in the program that allocate or
// wait, by about half a kilobyte for each, not with how often they do.
//
// As in every memory profile, allocations appear in it only after the collections
// that follow them, and heap and allocs are the same but for what pprof shows
// first. block and mutex are empty unless the program has set their rates
// (runtime.SetBlockProfileRate, runtime.SetMutexProfileFraction).
func Take(name string) (*Sample, error) {
	i := find(name)
	if i < 0 {
		return nil, fmt.Errorf("no profile %q; there are heap, allocs, block and mutex", name)
	}
	s, err := kinds[i].read()
	if err != nil {
		return nil, fmt.Errorf("%s profile: %w", name, err)
	}
	s.kind, s.at = &kinds[i], time.Now()
	return s, nil
}

// Write writes what has changed from before to after, compressed. What is in use
// may have become less; the places where nothing changed are left out. The errors
// are those of w, and that the samples are of different profiles or the wrong way
// round.
func Write(w io.Writer, before, after *Sample) error {
	if before.kind != after.kind {
		return fmt.Errorf("a %s profile cannot be compared with a %s profile", before.kind.name, after.kind.name)
	}
	took := after.at.Sub(before.at)
	if took < 0 {
		return fmt.Errorf("%s profile: the first sample is %v younger than the second", after.kind.name, -took)
	}
	e := newEncoder(w)
	e.header(after.kind, after.period, after.at, took)
	// The runtime never forgets a record: there is none that only before has.
	for k, v := range after.records {
		// The difference is scaled, not the two, which would round twice.
		v = after.scale(v.add(before.records[k], -1))
		if v != (values{}) {
			e.sample(frames(k.stack[:], after.kind.hideTop), v[:len(after.kind.values)], k.size)
		}
	}
	return e.close()
}

// readAll calls one of the runtime's functions that copy records, with room for
// some more than there were: there may be new ones by the second call.
func readAll[R any](profile func([]R) (n int, ok bool)) []R {
	n, _ := profile(nil)
	for {
		records := make([]R, n+n/10+50)
		var ok bool
		if n, ok = profile(records); ok {
			return records[:n]
		}
	}
}

func readMemory() (*Sample, error) {
	rate := int64(runtime.MemProfileRate)
	s := &Sample{period: rate, records: make(map[key]values)}
	s.scale = func(v values) values {
		v[0], v[1] = unsample(v[0], v[1], rate)
		v[2], v[3] = unsample(v[2], v[3], rate)
		return v
	}
	// With the records of which nothing is in use: they have allocated.
	all := func(p []runtime.MemProfileRecord) (int, bool) { return runtime.MemProfile(p, true) }
	for _, r := range readAll(all) {
		if r.AllocObjects == 0 {
			continue // none that a collection has followed
		}
		k := key{r.Stack0, r.AllocBytes / r.AllocObjects}
		// Stacks that differ below the 32 frames of a record are one here.
		s.records[k] = s.records[k].add(values{r.AllocObjects, r.AllocBytes, r.InUseObjects(), r.InUseBytes()}, 1)
	}
	return s, nil
}

// unsample estimates from the objects in a profile how many there were: one of
// size bytes is in it with a probability of 1-exp(-size/rate). This is
// scaleHeapSample in runtime/pprof's protomem.go.
func unsample(count, size, rate int64) (int64, int64) {
	if count == 0 || size == 0 {
		return 0, 0
	}
	if rate <= 1 {
		return count, size // every one is in it
	}
	average := float64(size) / float64(count)
	scale := 1 / (1 - math.Exp(-average/float64(rate)))
	return int64(float64(count) * scale), int64(float64(size) * scale)
}

// readWaits reads a profile of waiting. The runtime has already scaled it by the
// rates of both profiles (saveBlockEventStack in its mprof.go).
func readWaits(profile func([]runtime.BlockProfileRecord) (int, bool)) (*Sample, error) {
	perSecond, err := cyclesPerSecond()
	if err != nil {
		return nil, err
	}
	s := &Sample{period: 1, records: make(map[key]values)}
	s.scale = func(v values) values {
		v[1] = int64(float64(v[1]) / (perSecond / 1e9))
		return v
	}
	for _, r := range readAll(profile) {
		k := key{stack: r.Stack0}
		s.records[k] = s.records[k].add(values{r.Count, r.Cycles}, 1)
	}
	return s, nil
}
