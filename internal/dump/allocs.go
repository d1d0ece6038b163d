package dump

import (
	"runtime"
	"sort"

	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/stack"
)

// memProfile returns the heap profile. If all is true, it contains the memory that is no
// longer in use.
func memProfile(all bool) (records []runtime.MemProfileRecord) {
	for n, ok := runtime.MemProfile(nil, all); !ok; {
		records = make([]runtime.MemProfileRecord, n+50)
		n, ok = runtime.MemProfile(records, all)
		records = records[:min(n, len(records))]
	}
	return records
}

// maxAllocSites is how many places allocSites looks at: one takes some microseconds.
const maxAllocSites = 5000

// allocSites returns the places that have allocated memory since the program began. The
// numbers are those of the samples.
func allocSites() []findings.HeapSite {
	records := memProfile(true)
	sort.Sort((*byAllocated)(&records))
	var sites []findings.HeapSite
	for _, r := range records[:min(len(records), maxAllocSites)] {
		sites = append(sites, findings.HeapSite{Frames: stack.Symbolize(r.Stack()), Bytes: r.AllocBytes, Objects: r.AllocObjects})
	}
	return sites
}

type byAllocated []runtime.MemProfileRecord

func (s *byAllocated) Len() int           { return len(*s) }
func (s *byAllocated) Less(i, j int) bool { return (*s)[i].AllocBytes > (*s)[j].AllocBytes }
func (s *byAllocated) Swap(i, j int)      { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] }
