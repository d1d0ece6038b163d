//go:build linux && !race

package integration

func fewer(n int) int { return n }
