// Package pprofdelta writes what changed in a profile between two moments. The output
// is in the format of go tool pprof. net/http/pprof does the same for ?seconds=
// (serveDeltaProfile there). The package does not stop the program and starts no
// collection.
package pprofdelta

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"time"
)

// kind describes one kind of profile, with the types that runtime/pprof writes into
// its files. pprof shows the last of the values, unless shown names another.
type kind struct {
	name    string
	values  []valueType
	shown   string
	period  valueType
	hideTop bool // leave out the runtime's frames at the top, where every allocation ends
	read    func() (*Sample, error)
}

type valueType struct{ name, unit string }

// The values are those of writeHeapInternal, writeHeapProto, writeProfileInternal and
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

// Has reports whether Take knows a profile of that name.
func Has(name string) bool { return find(name) >= 0 }

// Sample is a profile at one moment.
type Sample struct {
	kind    *kind
	at      time.Time
	period  int64
	scale   func(values) values // converts raw values to those of the file
	records map[key]values
}

// key identifies a record. The runtime keeps one record for each size of the
// allocations of a place. The file does the same, and has the size in a label.
type key struct {
	stack [32]uintptr // from the top, the rest zero
	size  int64       // bytes of an object; 0 if the record is not about allocations
}

// values holds as many values as the kind has. The others are zero.
type values [4]int64

// add returns v + sign*w.
func (v values) add(w values, sign int64) values {
	for i := range v {
		v[i] += sign * w[i]
	}
	return v
}

// Take reads the profile of that name as it is now: heap, allocs, block or mutex.
// A sample needs about half a kilobyte for each place in the program that allocates
// or waits. Its size does not depend on how often that happens.
//
// As in every memory profile, allocations appear in it only after the collections
// that follow them. heap and allocs differ only in the values that pprof shows
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

// Write writes what has changed from before to after, compressed. It leaves out
// places where nothing has changed. Values can be negative, since less may be in use
// than before. Write returns the errors of w. It also returns an error if the samples
// are of different profiles, or if before is younger than after.
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
	// The runtime never removes a record, so every record of before is in after.
	for k, v := range after.records {
		// Scale the difference. Scaling both samples would round twice.
		v = after.scale(v.add(before.records[k], -1))
		if v != (values{}) {
			e.sample(frames(k.stack[:], after.kind.hideTop), v[:len(after.kind.values)], k.size)
		}
	}
	return e.close()
}

// readAll calls one of the runtime's functions that copy records. It makes room for
// some more records than there were, since there may be new ones by the second call.
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

// readMemory reads the memory profile.
func readMemory() (*Sample, error) {
	rate := int64(runtime.MemProfileRate)
	s := &Sample{period: rate, records: make(map[key]values)}
	s.scale = func(v values) values {
		v[0], v[1] = unsample(v[0], v[1], rate)
		v[2], v[3] = unsample(v[2], v[3], rate)
		return v
	}
	// Include the records with nothing in use: they count allocations, too.
	all := func(p []runtime.MemProfileRecord) (int, bool) { return runtime.MemProfile(p, true) }
	for _, r := range readAll(all) {
		if r.AllocObjects == 0 {
			continue // no collection has completed since its allocations
		}
		k := key{r.Stack0, r.AllocBytes / r.AllocObjects}
		// A record has only 32 frames, so stacks that differ below them have the same
		// key.
		s.records[k] = s.records[k].add(values{r.AllocObjects, r.AllocBytes, r.InUseObjects(), r.InUseBytes()}, 1)
	}
	return s, nil
}

// unsample estimates the real number and size of objects from those in a profile.
// An object of size bytes is in the profile with a probability of
// 1-exp(-size/rate). This is scaleHeapSample in runtime/pprof's protomem.go.
func unsample(count, size, rate int64) (int64, int64) {
	if count == 0 || size == 0 {
		return 0, 0
	}
	if rate <= 1 {
		return count, size // the profile has every object
	}
	average := float64(size) / float64(count)
	scale := 1 / (1 - math.Exp(-average/float64(rate)))
	return int64(float64(count) * scale), int64(float64(size) * scale)
}

// readWaits reads the block or the mutex profile. The runtime has already scaled it by the
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
