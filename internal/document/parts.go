package document

// Mem has the sizes that mem shows, in bytes.
type Mem struct {
	Heap     uint64 `json:"heap_bytes"`
	Live     uint64 `json:"live_bytes"` // what the last collection left
	Stacks   uint64 `json:"stacks_bytes"`
	InUse    uint64 `json:"in_use_bytes"` // got from the system and not given back
	Released uint64 `json:"released_bytes"`
	Resident uint64 `json:"resident_bytes,omitempty"`
	Cycles   uint64 `json:"collections"`
	Goal     uint64 `json:"goal_bytes"`
	GOGC     string `json:"gogc"`                  // a number, or off
	Limit    uint64 `json:"limit_bytes,omitempty"` // absent: no limit
}

// Build is the document of build.
type Build struct {
	Head
	Go       string    `json:"go"`
	Path     string    `json:"path"` // of the main package
	Main     *Module   `json:"main,omitempty"`
	Deps     []Module  `json:"deps"`
	Settings []Setting `json:"settings"`
	Notes    []string  `json:"notes,omitempty"`
}

// Module is a module of a program.
type Module struct {
	Path    string  `json:"path"`
	Version string  `json:"version,omitempty"`
	Sum     string  `json:"sum,omitempty"`
	Replace *Module `json:"replace,omitempty"`
}

// Setting is a setting of a build.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Signals is the document of signals.
type Signals struct {
	Head
	Masks       []Mask        `json:"masks"`
	Listens     []string      `json:"listens"`
	Unknown     string        `json:"listens_unknown,omitempty"` // why Listens is not known
	Terminating []Disposition `json:"terminating"`
}

// Mask is a signal mask of /proc/PID/status.
type Mask struct {
	Name    string   `json:"name"`
	What    string   `json:"what"`
	Mask    string   `json:"mask"` // hexadecimal
	Signals []string `json:"signals"`
}

// Disposition says what a signal does.
type Disposition struct {
	Signal string `json:"signal"`
	Effect string `json:"effect"`
}

// FDs is the document of fds.
type FDs struct {
	Head
	Open    int            `json:"open"`
	Limit   uint64         `json:"limit"`
	Read    int            `json:"read"` // the descriptors that were read: there may be too many
	Kinds   map[string]int `json:"kinds"`
	Matched int            `json:"matched"`
	Rows    []FD           `json:"fds"`
	More    int            `json:"more,omitempty"` // rows that are left out
}

// FD is a file descriptor.
type FD struct {
	FD        int    `json:"fd"`
	Kind      string `json:"kind"`
	Access    string `json:"access"` // ro, wo, rw or path
	State     string `json:"state,omitempty"`
	Target    string `json:"target,omitempty"`
	Detail    string `json:"detail,omitempty"`
	Signals   string `json:"signals,omitempty"` // of a signalfd
	Append    bool   `json:"append,omitempty"`
	Nonblock  bool   `json:"nonblock,omitempty"`
	Direct    bool   `json:"direct,omitempty"`
	Sync      bool   `json:"sync,omitempty"`
	Position  *int64 `json:"position,omitempty"` // of a regular file
	Size      *int64 `json:"size,omitempty"`     // of a regular file
	Deleted   bool   `json:"deleted,omitempty"`
	Inherited bool   `json:"inherited,omitempty"` // by children: close-on-exec is not set
	Replaced  bool   `json:"replaced,omitempty"`  // while it was read
}

// Threads is the document of threads.
type Threads struct {
	Head
	Count  int            `json:"count"`
	States map[string]int `json:"states"`
	Waits  map[string]int `json:"waits"`                // threads by the kernel function in which they wait
	Blocks string         `json:"most_block,omitempty"` // the signals that most threads block
	Rows   []Thread       `json:"threads"`              // the most CPU time first
	More   int            `json:"more,omitempty"`       // threads that are left out
}

// Thread is a thread of the system.
type Thread struct {
	TID    int     `json:"tid"`
	State  string  `json:"state"` // the letter of the kernel
	Word   string  `json:"state_name"`
	User   float64 `json:"user_seconds"`
	System float64 `json:"system_seconds"`
	CPU    int     `json:"cpu"`
	Wchan  string  `json:"wchan,omitempty"`
	Name   string  `json:"name"`
	Blocks string  `json:"blocks,omitempty"`        // if most threads block others
	Signal bool    `json:"signal_thread,omitempty"` // the runtime receives signals on it
}

// Env is the document of env.
type Env struct {
	Head
	Variables []Variable `json:"variables"`
	Cut       bool       `json:"cut,omitempty"` // there are more, which were not read
}

// Variable is a variable of the environment.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Bytes int    `json:"bytes,omitempty"` // the length, if Value is not all of it
}

// Metrics is the document of metrics.
type Metrics struct {
	Head
	Metrics []Metric `json:"metrics"`
	Quiet   int      `json:"counters_at_zero,omitempty"` // counters of /godebug/ that are left out
}

// Metric is one of the runtime's metrics.
type Metric struct {
	Name        string   `json:"name"`
	Value       *float64 `json:"value,omitempty"`
	Text        string   `json:"text"` // the value for people
	Count       uint64   `json:"count,omitempty"`
	P50         *float64 `json:"p50,omitempty"` // an upper bound
	P99         *float64 `json:"p99,omitempty"`
	Max         *float64 `json:"max,omitempty"`
	Description string   `json:"description,omitempty"` // if it is the only one
	Buckets     []Bucket `json:"buckets,omitempty"`     // if it is the only one; those that are not empty
	MoreBuckets int      `json:"more_buckets,omitempty"`
}

// Bucket is a part of a distribution.
type Bucket struct {
	Count uint64  `json:"count"`
	From  float64 `json:"from"` // null: infinity
	To    float64 `json:"to"`
}

// Proc is the document of proc.
type Proc struct {
	Head
	Path    string      `json:"path"`
	Kind    string      `json:"kind"`             // file, folder or link
	Target  string      `json:"target,omitempty"` // of a link
	Entries []ProcEntry `json:"entries,omitempty"`
	Lines   []string    `json:"lines"`         // of a file
	Cut     bool        `json:"cut,omitempty"` // there is more
}

// ProcEntry is an entry of a folder in /proc.
type ProcEntry struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Target string `json:"target,omitempty"`
}

// Lines is the document of a command whose text has no further structure.
type Lines struct {
	Head
	Lines []string `json:"lines"`
}

// Profiles is the document of profile without a name.
type Profiles struct {
	Head
	CPUSeconds float64   `json:"cpu_seconds"` // how long a cpu profile takes by default
	Rows       []Profile `json:"profiles"`    // without cpu
}

// Profile is a profile that a program has.
type Profile struct {
	Name  string `json:"name"`
	Count *int   `json:"count,omitempty"`
	Text  string `json:"text"`
	Off   string `json:"off,omitempty"` // why nothing is recorded
}

// SettingChange is the document of setgc, memlimit and the others that show or set a value.
type SettingChange struct {
	Head
	Name     string  `json:"name"`
	Value    string  `json:"value"`
	Was      string  `json:"was,omitempty"`           // before it was set
	Restored string  `json:"restored,omitempty"`      // the value that is set again
	After    float64 `json:"after_seconds,omitempty"` // when that is
	Note     string  `json:"note,omitempty"`
}

// Locals is the document of locals.
type Locals struct {
	Head
	Locals []Local `json:"locals"`
}

// Local is one of the program's values.
type Local struct {
	Name  string `json:"name"`
	Type  string `json:"type,omitempty"`
	Value string `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}
