//go:build !linux

// Command oneshot is the client of a manhole. It needs Linux, where it finds out
// from /proc who listens on what; elsewhere use kill and nc -U.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "oneshot: the client needs Linux; use kill -USR2 PID and nc -U /tmp/manhole-PID")
	os.Exit(1)
}
