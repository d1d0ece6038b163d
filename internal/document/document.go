// Package document has the JSON objects that commands print with -json, and writes them.
// The types are also for whoever reads these objects, with encoding/json. docs/json.md
// describes them.
package document

// Version is the version of all schemas. It is raised when a field is removed or gets
// another meaning, but not when a field is added.
const Version = 1

// Head begins every document.
type Head struct {
	Schema  string `json:"schema"` // "oneshot/" and the name of the command
	Version int    `json:"version"`
}

// Of returns the head of the document that a command prints.
func Of(command string) Head { return Head{"oneshot/" + command, Version} }

// Process says which process a document is about.
type Process struct {
	Name     string  `json:"name"`                     // of its executable
	PID      int     `json:"pid"`                      // as the program sees it; from outside, as the client sees it
	Host     string  `json:"host,omitempty"`           // the name of the machine or the container
	Start    uint64  `json:"start,omitempty"`          // clock ticks since boot; with host and pid it identifies the process
	Uptime   float64 `json:"uptime_seconds,omitempty"` // since its start
	At       string  `json:"at"`                       // the time of the document, RFC 3339
	Module   string  `json:"module,omitempty"`         // the main module, or else the main package
	Version  string  `json:"version,omitempty"`        // of the main module
	Revision string  `json:"revision,omitempty"`
	Modified bool    `json:"modified,omitempty"` // there were changes since the revision
	Go       string  `json:"go"`
	OS       string  `json:"os"`
	Arch     string  `json:"arch"`
}

// Frame is one call on a stack, or a place in the code.
type Frame struct {
	Function string `json:"function"`
	File     string `json:"file,omitempty"` // as the text shows it; with -paths the full path
	Line     int    `json:"line,omitempty"`
}

// Finding is one thing that stands out.
type Finding struct {
	Rule   string   `json:"rule,omitempty"` // the name of the rule that has found it
	Title  string   `json:"title"`
	Lines  []string `json:"lines"`
	Places []Frame  `json:"places"` // the places in the code that the lines name
	Next   string   `json:"next,omitempty"`
}

// Goroutine is a goroutine, or several that have the following ids and differ in
// nothing else.
type Goroutine struct {
	ID      uint64 `json:"id"`
	To      uint64 `json:"to,omitempty"` // the last id
	Minutes int32  `json:"minutes,omitempty"`
	Locked  bool   `json:"locked,omitempty"` // to its thread
	Leaked  bool   `json:"leaked,omitempty"` // proved by the garbage collector
}

// LabelCount is a set of pprof labels, and how many goroutines have it.
type LabelCount struct {
	Labels string `json:"labels"`
	Count  int    `json:"count"`
}

// Recursion is a part of the frames that is repeated.
type Recursion struct {
	At     int `json:"at"`     // index of the first frame
	Frames int `json:"frames"` // the number of frames that are repeated
	Times  int `json:"times"`  // how often they are there
	More   int `json:"more"`   // how often they are repeated after the first time: times-1
}

// Group is a group of goroutines in one state with the same stack.
type Group struct {
	// Key is the same in every process of a build for the same state and the same
	// functions and lines. More than one group may have it in a dump of very many groups.
	Key string `json:"key"`
	// Stack is like Key, but does not depend on the state.
	Stack string `json:"stack"`

	Count       int          `json:"count"`
	Percent     int          `json:"percent,omitempty"` // of all goroutines, if these are many
	State       string       `json:"state"`
	Leaked      int          `json:"leaked,omitempty"`
	Least       int          `json:"waits_least_minutes,omitempty"`
	Most        int          `json:"waits_most_minutes,omitempty"`
	Labels      []LabelCount `json:"labels,omitempty"`
	OtherLabels int          `json:"other_labels,omitempty"` // the number of other sets
	Goroutines  []Goroutine  `json:"goroutines,omitempty"`
	MoreIDs     int          `json:"more_goroutines,omitempty"` // of the group, not in Goroutines

	// Site is the frame that says most: the innermost one of the program's own code.
	Site          *Frame      `json:"site,omitempty"`
	Frames        []Frame     `json:"frames"`                   // the innermost first
	LibraryFrames int         `json:"library_frames,omitempty"` // the number of frames before the site, if they are of libraries
	Recursions    []Recursion `json:"recursions,omitempty"`
	Deeper        bool        `json:"deeper,omitempty"`     // there are more frames, which are not known
	LastCalls     bool        `json:"last_calls,omitempty"` // they run, and the frames are their last calls: the inner ones may be over
	CreatedBy     *Frame      `json:"created_by,omitempty"`
	Stacks        int         `json:"stacks,omitempty"` // how many different stacks are in the group, if more than one
}

// Goroutines are the groups of a program's goroutines.
type Goroutines struct {
	Searched bool      `json:"searched"` // the rules were applied; not to a part of the goroutines
	Findings []Finding `json:"findings"`

	Total    int      `json:"total"`              // all goroutines, without the manhole's own
	Selected int      `json:"selected"`           // those that the flags select
	Excluded int      `json:"excluded,omitempty"` // the manhole's own
	Unread   int      `json:"unread,omitempty"`   // could not be read
	Notes    []string `json:"notes,omitempty"`    // what is missing, and why

	GroupCount     int     `json:"group_count"`
	Groups         []Group `json:"groups"` // the largest first
	MoreGroups     int     `json:"more_groups,omitempty"`
	MoreGoroutines int     `json:"more_groups_goroutines,omitempty"` // in the groups that are left out
	Cut            bool    `json:"cut,omitempty"`                    // the dump is incomplete

	// Stream yields the groups, in place of Groups.
	Stream func(yield func(any) bool) `json:"-"`
}

// Elements implements Streamer.
func (g Goroutines) Elements(field string) func(yield func(any) bool) {
	if field == "groups" {
		return g.Stream
	}
	return nil
}

// Stacks is the document of stacks, leaks, and of screen.
type Stacks struct {
	Head
	Process Process `json:"process"`
	Vitals  *Vitals `json:"vitals,omitempty"`       // not of leaks
	Core    *Core   `json:"core,omitempty"`         // of screen, for a core file
	Proof   *Proof  `json:"proof,omitempty"`        // of leaks
	Stop    float64 `json:"stop_seconds,omitempty"` // how long the program was stopped
	Goroutines
	Changes *Changes `json:"changes,omitempty"` // of stacks -diff
}

// Core is what a core file says about the end of its process.
type Core struct {
	Args      []string `json:"args"`
	ArgsCut   bool     `json:"args_cut,omitempty"` // there are more
	End       string   `json:"end"`                // what ended the program
	Signal    string   `json:"signal,omitempty"`
	Threads   int      `json:"threads"`
	Goroutine uint64   `json:"goroutine,omitempty"` // on the thread to which the signal came
	Panic     string   `json:"panic,omitempty"`     // the signal that made it panic
}

// Proof is what it cost to prove leaks.
type Proof struct {
	PredictedStop float64 `json:"predicted_stop_seconds"`
	Stop          float64 `json:"stop_seconds"` // the longest one
	CPU           float64 `json:"cpu_seconds"`
	Heap          uint64  `json:"heap_bytes"`
	Goroutines    uint64  `json:"goroutines"`
}

// Changes says which groups have changed since the dump before.
type Changes struct {
	GroupCount int      `json:"group_count"` // the groups that have changed
	Groups     []Change `json:"groups"`      // the largest growth first
	MoreGroups int      `json:"more_groups,omitempty"`
	Replaced   int      `json:"replaced"` // goroutines that others have replaced, in groups of the same size
}

// Change is a group that has grown or shrunk.
type Change struct {
	Growth int         `json:"growth"`
	Was    int         `json:"was"`
	Came   []Goroutine `json:"came,omitempty"`
	Left   []Goroutine `json:"left,omitempty"`
	// MoreCame and MoreLeft count those that are not listed.
	MoreCame int `json:"more_came,omitempty"`
	MoreLeft int `json:"more_left,omitempty"`
	Group
}

// Vitals are the vital signs of a process. What is not known is absent.
type Vitals struct {
	CPU         CPU          `json:"cpu"`
	Goroutines  States       `json:"goroutines"`
	Threads     uint64       `json:"threads"`
	Memory      Memory       `json:"memory"`
	Descriptors *Descriptors `json:"descriptors,omitempty"`
}

// CPU is the use of CPUs.
type CPU struct {
	Busy      float64 `json:"busy"`                    // CPUs, on average over Seconds
	Procs     int     `json:"procs"`                   // GOMAXPROCS; from outside, how many CPUs the process can use
	Seconds   float64 `json:"seconds"`                 // over which it was measured
	User      float64 `json:"user_share"`              // the part of the use outside the kernel
	Total     float64 `json:"total_seconds,omitempty"` // CPU time since the process began
	Collector float64 `json:"collector_share,omitempty"`
	Latency   float64 `json:"latency_p99_seconds,omitempty"` // of 100 waits for a CPU, 99 were not longer
	Cgroup    float64 `json:"cgroup_cpus,omitempty"`         // the limit of the cgroup
}

// States counts goroutines by state.
type States struct {
	Total     uint64 `json:"total"`
	Running   uint64 `json:"running"`
	Runnable  uint64 `json:"runnable"`
	Waiting   uint64 `json:"waiting"`
	InSyscall uint64 `json:"in_syscalls"`
}

// Memory is the memory of a program, in bytes.
type Memory struct {
	Heap        uint64 `json:"heap_bytes,omitempty"`
	InUse       uint64 `json:"in_use_bytes,omitempty"` // what counts towards the limit
	Limit       uint64 `json:"limit_bytes,omitempty"`  // absent: no limit
	Stacks      uint64 `json:"stacks_bytes,omitempty"`
	Resident    uint64 `json:"resident_bytes,omitempty"`
	Peak        uint64 `json:"peak_bytes,omitempty"`
	Swapped     uint64 `json:"swapped_bytes,omitempty"`
	CgroupUsed  uint64 `json:"cgroup_used_bytes,omitempty"`
	CgroupLimit uint64 `json:"cgroup_limit_bytes,omitempty"`
}

// Descriptors counts the open file descriptors.
type Descriptors struct {
	Open  int `json:"open"`
	Limit int `json:"limit,omitempty"`
}
