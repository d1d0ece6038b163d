//go:build !linux

package command

var procCommand = &Command{
	Name: "proc", Args: "[FILE]", Summary: "show a file of /proc/self (Linux only)",
	Help: "Only Linux has such files.",
	Run:  linuxOnly("proc"),
}
