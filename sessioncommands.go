package oneshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/stderrpipe"
)

// consoleRuns has the functions of the commands that are about the session itself.
// Package command describes those commands.
var consoleRuns = map[string]func(context.Context, *Session, []string) error{
	"help":       runHelp,
	"history":    command.NoArgs(runHistory),
	"sessions":   command.NoArgs(runSessions),
	"stderr":     runStderr,
	"deactivate": command.NoArgs(runDeactivate),
	"exit":       runExit,
	"quit":       runExit,
}

func runExit(context.Context, *Session, []string) error { return errExit }

func runHelp(_ context.Context, s *Session, args []string) error {
	switch len(args) {
	case 0:
		for _, cmd := range s.host.commands {
			fmt.Fprintf(s, "  %s\n", plaintext.Columns(cmd.usage(), cmd.Summary))
		}
		_, _ = s.out.WriteString("Ctrl-C (byte 0x03) stops a running command, where the client sends it as it is.\n")
		return nil
	case 1:
		cmd := lookup(s.host.commands, args[0])
		if cmd == nil {
			return fmt.Errorf("no command %q; help without a name lists them", plaintext.Clip(args[0], 40))
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
	if !s.host.deactivate() {
		return errors.New("deactivate: the manhole is not active")
	}
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

func runSessions(_ context.Context, s *Session) error {
	inside, _ := s.host.inside.now()
	for _, c := range inside {
		c.mu.Lock()
		running, since := c.running, c.since
		c.mu.Unlock()
		who := fmt.Sprintf("pid %d, uid %d", c.cred.PID, c.cred.UID)
		if name := procfs.Name(c.cred.PID); name != "" {
			who += ", " + plaintext.Line(name)
		}
		doing := fmt.Sprintf("at the prompt for %v", plaintext.Duration(time.Since(since)))
		if running != "" {
			doing = fmt.Sprintf("runs for %v: %s", plaintext.Duration(time.Since(since)), plaintext.Clip(running, 200))
		}
		mark := " "
		if c == s.core {
			mark = "*" // this session
		}
		fmt.Fprintf(s, "%s %s, since %s (%v), %s\n", mark, who,
			c.start.Format(time.DateTime), time.Since(c.start).Round(time.Second), doing)
	}
	return nil
}

func runStderr(_ context.Context, s *Session, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "on":
		if s.script {
			return errors.New("stderr: a script's output is that of its command; use a session")
		}
		if err := stderrpipe.Take(&s.stderr); err != nil {
			return fmt.Errorf("stderr: %w", err)
		}
		fmt.Fprintln(s, "standard error comes here until stderr off, or the end of the session")
		return nil
	case len(args) == 1 && args[0] == "off":
		if !stderrpipe.Give(&s.stderr) {
			return errors.New("stderr: this session does not have it; stderr on takes it")
		}
		fmt.Fprintln(s, "standard error goes where it went before")
		return nil
	case len(args) == 0:
		switch owner := stderrpipe.Current(); owner {
		case nil:
			fmt.Fprintln(s, "standard error goes where the program sends it; stderr on has it come here")
		case &s.stderr:
			fmt.Fprintln(s, "standard error comes here")
		default:
			fmt.Fprintf(s, "standard error goes to the session of pid %d\n", owner.PID)
		}
		return nil
	}
	return errors.New("stderr: say on or off")
}
