//go:build !linux

// Command oneshot is the client for manholes. It runs on Linux only, because it reads
// /proc to find out which process has which socket. Elsewhere use kill and nc -U.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "oneshot: the client runs on Linux only; use kill -USR2 PID and nc -U /tmp/manhole-PID")
	os.Exit(1)
}
