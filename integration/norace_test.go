//go:build linux && !race

package integration

// fewer returns n; see race_test.go.
func fewer(n int) int { return n }
