//go:build !(linux || darwin || freebsd)

// Command oneshot is the client for manholes. It does not run on this system, where it
// could not find out who listens at a socket.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "oneshot: the client runs on Linux, macOS and FreeBSD; here, use kill -USR2 PID and nc -U /tmp/manhole-PID if the system has them")
	os.Exit(1)
}
