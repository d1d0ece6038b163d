//go:build !linux

package command

var threadCommands = []*Command{
	{
		Name: "threads", Args: "[-n N]", Summary: "show the threads of the system (Linux only)",
		Help: "It is read from /proc, as Linux has it.",
		Run:  linuxOnly("threads"),
	},
}
