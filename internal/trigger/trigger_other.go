//go:build !linux

// Package trigger does nothing on this system.
package trigger

import (
	"errors"
	"fmt"
	"os"
)

// File needs inotify, which only Linux has.
type File struct{ Signals chan os.Signal }

// New returns an error: there is no inotify.
func New(string, Config) (*File, error) {
	return nil, fmt.Errorf("oneshot: TriggerFile: %w; only Linux has inotify", errors.ErrUnsupported)
}

// Drain returns false.
func (*File) Drain() bool { return false }

// DrainBeside does nothing.
func (*File) DrainBeside() {}

// Close does nothing.
func (*File) Close() {}

// Signal is nil: there is no signal to wait for.
var Signal os.Signal
