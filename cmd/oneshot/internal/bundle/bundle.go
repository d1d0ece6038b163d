//go:build unix

// Package bundle reads and writes bundles: one archive with everything that oneshot bundle
// has found out about a process. It does not know where the parts come from.
//
// # The format
//
// A bundle is a tar archive (POSIX ustar or pax), compressed with gzip. Its files are all in
// one folder, whose name has the program, the host, the pid and the time. It is the name of
// the archive too, unless somebody has chosen another, for example
//
//	oneshot-server-web1-4321-20260102T150405Z/
//
// There are only regular files, and no other folder. The name of a part is its path below
// that folder:
//
//	screen.txt                     the first screen
//	stacks.txt                     all groups of goroutines
//	leaks.txt                      which goroutines are proved to be leaked
//	profiles/NAME.pb.gz            a profile for go tool pprof, for example profiles/heap.pb.gz
//	profiles/NAME-delta.pb.gz      what was added to a profile while the bundle was made
//	trace                          an execution trace for go tool trace
//	trace-last                     the same, from the program's own flight recorder
//	metrics.txt metrics-later.txt  package runtime/metrics, at two moments
//	fds.txt threads.txt signals.txt build.txt mem.txt env.txt settings.txt sections.txt
//	proc/NAME                      a file of /proc/PID
//	cgroup.txt pressure.txt        the files of the control groups and of /proc/pressure
//	manifest.json                  the Manifest: how each part was made, what it cost, its error
//
// A part NAME.txt may have a NAME.json beside it: the same in JSON. Any part may be missing; the
// manifest then has its error.
//
// Each part is a gzip member of its own, and is in the file before the next part is made. So
// whatever ends the writing, the file opens, with all parts but perhaps the last. The
// manifest is the last part. It is missing if the client was killed.
package bundle

import "time"

// The identity of the format. Version changes if an old reader would misread a new manifest.
const (
	Schema  = "oneshot/bundle"
	Version = 1
)

// ManifestName is the name of the part that has the Manifest.
const ManifestName = "manifest.json"

// Why a bundle ends where it does.
const (
	Complete     = "complete"
	Interrupted  = "interrupted"   // by a signal to the client
	ProgramEnded = "program ended" // while its parts were made
)

// Manifest says what is in a bundle, and what each part has cost the program.
type Manifest struct {
	Schema  string `json:"schema"`
	Version int    `json:"version"`

	Client  string `json:"client"`  // the version of the client
	Program string `json:"program"` // the name of the process
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Outside bool   `json:"outside"` // the process was read from outside, without its help
	Remark  string `json:"remark,omitempty"`

	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
	End   string    `json:"end"` // Complete, Interrupted or ProgramEnded

	// Stopped is for how long the world was stopped in all while the bundle was made.
	// Nil: not known.
	Stopped *Stops `json:"stopped,omitempty"`

	Parts []Part `json:"parts"` // in the order in which they were made
}

// Part says how a part was made. A part with an Error may be in the archive all the same, with
// what there was of it until then.
type Part struct {
	Name    string    `json:"name"`
	Command string    `json:"command,omitempty"` // for the process; empty: a file was read
	Began   time.Time `json:"began"`
	Seconds float64   `json:"seconds"` // how long it took
	Limit   float64   `json:"limit"`   // how long it was allowed to take, in seconds
	Bytes   int64     `json:"bytes"`   // its size; 0: not in the archive, or empty
	Present bool      `json:"present"` // it is in the archive
	Error   string    `json:"error,omitempty"`
	Remark  string    `json:"remark,omitempty"` // what the command said besides its output

	// Stopped is for how long the world was stopped meanwhile, also by the program's own
	// collections. Nil: not known.
	Stopped *Stops `json:"stopped,omitempty"`
}

// Stops are the stops of the world in some time (/sched/pauses/total in runtime/metrics). The
// runtime counts them in buckets. The bounds are the ends of the buckets.
type Stops struct {
	Count   uint64  `json:"count"`
	Longest float64 `json:"longest_at_most"` // in seconds
	Total   float64 `json:"total_at_most"`   // in seconds
}

// Plus returns both together. Either may be nil.
func (s *Stops) Plus(other *Stops) *Stops {
	switch {
	case s == nil:
		return other
	case other == nil:
		return s
	}
	return &Stops{s.Count + other.Count, max(s.Longest, other.Longest), s.Total + other.Total}
}
