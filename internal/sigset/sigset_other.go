//go:build !(linux || darwin || freebsd)

package sigset

import (
	"errors"
	"syscall"
)

// Raise returns an error: it is not written for this system.
func Raise(syscall.Signal) error { return errors.ErrUnsupported }

func systemSignalName(syscall.Signal) string { return "" }

// Unusable returns an empty string.
func Unusable(syscall.Signal) string { return "" }

// Harmless returns false.
func Harmless(syscall.Signal) bool { return false }
