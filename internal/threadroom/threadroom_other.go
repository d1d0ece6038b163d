//go:build !linux || !(amd64 || arm64)

// Package threadroom does nothing on this system.
package threadroom

// Check returns nil: on this system it cannot find out.
func Check() error { return nil }

// CheckLimit returns nil: it is only of use with Check.
func CheckLimit() error { return nil }
