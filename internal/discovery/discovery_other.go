//go:build !linux

package discovery

import (
	"errors"
	"fmt"
)

var errNoProc = fmt.Errorf("cannot find processes: only Linux has the /proc that this needs: %w", errors.ErrUnsupported)

// Read returns an error: it needs the /proc of Linux.
func Read(int) (*Process, error) { return nil, errNoProc }

// All returns an error: it needs the /proc of Linux.
func All() ([]*Process, error) { return nil, errNoProc }

// Scan returns an error: it needs the /proc of Linux.
func Scan() (found, denied []*Process, err error) { return nil, nil, errNoProc }
