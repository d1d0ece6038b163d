//go:build !linux

package timers

// Pending returns ErrUnknown.
func Pending() (int, error) { return 0, ErrUnknown }
