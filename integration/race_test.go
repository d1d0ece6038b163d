//go:build linux && race

package integration

// fewer is how often a test does what it would do n times. The programs are not
// built with the race detector, which sees no more of them the more often.
func fewer(n int) int { return n / 5 }
