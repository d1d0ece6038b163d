//go:build !linux

package command

import (
	"context"
	"fmt"
	"runtime"
)

var descriptorCommands = []*Command{
	{
		Name: "fds", Args: "[-n N] [REGEXP]", Summary: "show the open files and sockets (Linux only)",
		Help: "It reads /proc, which has this content on Linux only.",
		Run:  linuxOnly("fds"),
	},
}

// linuxOnly returns the Run function of a command that works only on Linux: it
// returns an error that says so.
func linuxOnly(name string) func(context.Context, Session, []string) error {
	return func(context.Context, Session, []string) error {
		return fmt.Errorf("%s: it needs /proc of Linux; this is %s", name, runtime.GOOS)
	}
}
