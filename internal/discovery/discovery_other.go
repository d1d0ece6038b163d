//go:build !linux

package discovery

import (
	"errors"
	"fmt"
)

var errNoProc = fmt.Errorf("processes are looked up in Linux's /proc: %w", errors.ErrUnsupported)

// Read fails: only Linux has what it reads.
func Read(int) (*Process, error) { return nil, errNoProc }

// All fails: only Linux has what it reads.
func All() ([]*Process, error) { return nil, errNoProc }

// Scan fails: only Linux has what it reads.
func Scan() ([]*Process, int, error) { return nil, 0, errNoProc }
