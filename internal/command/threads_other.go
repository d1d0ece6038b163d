//go:build !linux

package command

var threadCommands = []*Command{
	{
		Name: "threads", Args: "[-n N]", Summary: "show the threads of the system (Linux only)",
		Help: "It reads /proc, which has this content on Linux only.",
		Run:  linuxOnly("threads"),
	},
}
