//go:build linux && !cgo

package main

// haveCHandlers does nothing: this binary has no C code.
func haveCHandlers(uint64) bool { return false }

const hasC = false
