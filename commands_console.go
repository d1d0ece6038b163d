package oneshot

import (
	"context"
	"errors"
	"fmt"
)

// consoleCommands are those about the session itself.
var consoleCommands = []*Command{
	{
		Name: "help", Args: "[COMMAND]", Summary: "list the commands, or explain one",
		Run: runHelp,
	},
	{
		Name: "history", Summary: "list the lines of this session",
		Run: noArgs(runHistory),
	},
	{
		Name: "deactivate", Summary: "end what ActivateOn or Activate has begun: no other client is waited for",
		Help: "This session goes on. A oneshot window is not concerned.",
		Run:  noArgs(runDeactivate),
	},
	{
		Name: "exit", Summary: "leave; so do quit, the end of input (Ctrl-D), and closing the connection",
		Run: func(context.Context, *Session, []string) error { return errExit },
	},
	{
		Name: "quit", Summary: "the same as exit",
		Run: func(context.Context, *Session, []string) error { return errExit },
	},
}

func runHelp(_ context.Context, s *Session, args []string) error {
	switch len(args) {
	case 0:
		for _, cmd := range s.commands {
			fmt.Fprintf(s.out, "  %-24s %s\n", cmd.usage(), cmd.Summary)
		}
		_, _ = s.out.WriteString("Ctrl-C (byte 0x03) stops a running command, where the client sends it as it is.\n")
		return nil
	case 1:
		cmd := lookup(s.commands, args[0])
		if cmd == nil {
			return fmt.Errorf("no command %q; help without a name lists them", clip(args[0], 40))
		}
		fmt.Fprintf(s.out, "%s\n%s\n", cmd.usage(), cmd.Summary)
		if cmd.Help != "" {
			fmt.Fprintln(s.out, cmd.Help)
		}
		return nil
	}
	return errors.New("help takes one command at a time: help [COMMAND]")
}

func runDeactivate(_ context.Context, s *Session) error {
	a := s.m.endActivation()
	if a == nil {
		return errors.New("deactivate: the manhole is not active")
	}
	<-a.ended
	_, err := s.out.WriteString("deactivated; this session may go on\n")
	return err
}

func runHistory(_ context.Context, s *Session) error {
	s.mu.Lock()
	lines := append([]string(nil), s.history...)
	s.mu.Unlock()
	for i, text := range lines {
		fmt.Fprintf(s.out, "%4d  %s\n", i+1, text)
	}
	return nil
}
