//go:build linux && !race

package integration

import "testing"

// fewer returns n; see race_test.go.
func fewer(n int) int { return n }

// withoutRace does nothing; see race_test.go.
func withoutRace(*testing.T) {}
