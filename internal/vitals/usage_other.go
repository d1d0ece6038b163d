//go:build !unix

package vitals

import (
	"errors"
	"time"
)

// ReadUsage returns the time only: the CPU time is not known on this system.
func ReadUsage() Usage { return Usage{At: time.Now()} }

func descriptorLimit() (int, error) { return 0, errors.ErrUnsupported }
