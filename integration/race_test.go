//go:build linux && race

package integration

// fewer returns how often a test repeats what it would do n times without the race
// detector. The programs are built without the detector, so more rounds would not show
// it more.
func fewer(n int) int { return n / 5 }
