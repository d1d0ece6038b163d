//go:build !linux

package procfs

import (
	"os"
	"time"
)

// Process is a process whose files in /proc are read.
type Process struct {
	Dir string // its directory
}

// Self returns this process.
func Self() *Process { return &Process{Dir: "/proc/self"} }

// IsSelf returns true: only Linux has the files of other processes.
func (*Process) IsSelf() bool { return true }

// Environ returns the environment as it is now.
func (*Process) Environ() (entries []string, cut bool, err error) { return os.Environ(), false, nil }

// Uptime returns 0: only Linux tells the start time of a process.
func Uptime(uint64) time.Duration { return 0 }
