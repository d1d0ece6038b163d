//go:build !(linux || darwin || freebsd)

// Package stderrpipe does nothing on this system.
package stderrpipe

import "errors"

// Current returns nil.
func Current() *Holder { return nil }

// Take returns an error: it is not written for this system.
func Take(*Holder) error { return errors.ErrUnsupported }

// Give returns false.
func Give(*Holder) bool { return false }

// End does nothing.
func End(*Holder) {}
