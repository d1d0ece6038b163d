//go:build !unix

package vitals

import (
	"errors"
	"time"
)

// ReadUsage reads no CPU time here.
func ReadUsage() Usage { return Usage{At: time.Now()} }

func descriptorLimit() (int, error) { return 0, errors.ErrUnsupported }
