package oneshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
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
	"sessions":   runSessions,
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

func runSessions(_ context.Context, s *Session, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "-end":
		return s.endOther(args[1])
	case len(args) > 0:
		return errors.New("sessions takes -end N, with the number of a session, and nothing else")
	}
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
		fmt.Fprintf(s, "%s %d  %s, since %s (%v), %s\n", mark, c.number, who,
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

// endOther ends another session, which the command sessions shows with that number.
func (s *Session) endOther(number string) error {
	n, err := strconv.Atoi(number)
	inside, _ := s.host.inside.now()
	i := slices.IndexFunc(inside, func(c *core) bool { return c.number == n })
	switch {
	case err != nil || i < 0:
		return fmt.Errorf("there is no session %q; sessions shows them with their numbers", plaintext.Clip(number, 40))
	case inside[i] == s.core:
		return errors.New("this is your own session; exit leaves it")
	case !mayEnd(s.cred, inside[i].cred):
		return fmt.Errorf("session %d belongs to uid %d; only that user and root may end it", n, inside[i].cred.UID)
	}
	inside[i].cancel(endedBy{s.cred, "ended it with sessions -end"})
	_, err = fmt.Fprintf(s, "session %d is ending\n", n)
	return err
}

// sessionList has the running sessions of a manhole.
type sessionList struct {
	mu   sync.Mutex // guards what follows
	all  []*core
	last int           // the number of the newest session
	left chan struct{} // closed when the last session has ended
}

// forgotten is how long a session must have been at the prompt until another client may
// have its place.
const forgotten = time.Minute

// enter adds an authorized client to the running sessions. If there are too many, the
// one that has been at the prompt for the longest time has to go, so that a forgotten
// session locks nobody out. It returns an error if there is none.
func (s *Session) enter(cred Cred) error {
	l := &s.host.inside
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) >= maxSessions {
		idle := l.idle(cred)
		if idle == nil {
			return fmt.Errorf("%d sessions are open already, the most there can be; leave one and try again (sessions -end N ends another)", len(l.all))
		}
		idle.cancel(endedBy{cred, "needed the place"})
		l.all = slices.DeleteFunc(l.all, func(c *core) bool { return c == idle })
	}
	if len(l.all) == 0 {
		l.left = make(chan struct{})
	}
	l.last++
	s.cred, s.number, s.start, s.since = cred, l.last, time.Now(), time.Now()
	l.all = append(l.all, s.core)
	return nil
}

// idle returns the session that has been at the prompt for the longest time, or nil if
// there is none that a client with these rights may end. The caller holds l.mu.
func (l *sessionList) idle(cred Cred) *core {
	var idle *core
	longest := forgotten
	for _, c := range l.all {
		c.mu.Lock()
		at := time.Since(c.since)
		busy := c.running != ""
		c.mu.Unlock()
		if !busy && at >= longest && isConsole(c.handler()) && mayEnd(cred, c.cred) {
			idle, longest = c, at
		}
	}
	return idle
}

// mayEnd reports whether a client may end the session of another one: of the same user,
// or if it is root.
func mayEnd(client, other Cred) bool { return client.UID == other.UID || client.UID == 0 }

// endedBy is the reason of a session that another client has ended.
type endedBy struct {
	cred Cred
	why  string
}

func (e endedBy) Error() string {
	return fmt.Sprintf("pid %d, uid %d %s", e.cred.PID, e.cred.UID, e.why)
}

// forget removes the session from the running sessions.
func (s *Session) forget() {
	s.cancel(nil)
	l := &s.host.inside
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.all)
	l.all = slices.DeleteFunc(l.all, func(c *core) bool { return c == s.core })
	if before > 0 && len(l.all) == 0 {
		close(l.left)
	}
}

// now returns the running sessions, and a channel that is closed when the last of
// them has ended.
func (l *sessionList) now() ([]*core, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all), l.left
}
