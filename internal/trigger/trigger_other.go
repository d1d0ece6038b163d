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

func New(string, Config) (*File, error) {
	return nil, fmt.Errorf("oneshot: TriggerFile: %w; only Linux has inotify", errors.ErrUnsupported)
}

func (*File) Drain() bool { return false }

func (*File) Close() {}

var Signal os.Signal
