//go:build linux && cgo

package main

// #cgo CFLAGS: -O2
// #cgo LDFLAGS: -lpthread
// #include "testdata/chandlers.h"
import "C"

// haveCHandlers starts a thread of C code that handles the signals of handled for a short
// time, again and again.
func haveCHandlers(seed uint64) bool { return C.start_handlers(C.uint(seed)) == 0 }

const hasC = true
