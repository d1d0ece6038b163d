//go:build !linux

package oneshot

import (
	"os"
	"time"
)

// identity is the process that installed the manhole.
type identity struct{ pid int }

func thisProcess() identity { return identity{pid: os.Getpid()} }

func (id identity) isThis() bool { return os.Getpid() == id.pid }

// uptime is not known here.
func (identity) uptime() time.Duration { return 0 }
