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
	"help":       command.Answers(runHelp),
	"history":    command.Answers(command.NoArgs(runHistory)),
	"sessions":   command.Answers(runSessions),
	"stderr":     runStderr,
	"deactivate": command.Answers(command.NoArgs(runDeactivate)),
	"exit":       runExit,
	"quit":       runExit,
}

func runExit(context.Context, *Session, []string) error { return errExit }

func runHelp(_ context.Context, s *Session, args []string) (command.Answer, error) {
	var described []command.Description
	for _, cmd := range s.host.commands {
		if len(args) == 0 || cmd.Name == args[0] {
			described = append(described, command.Description{Name: cmd.Name, Usage: cmd.usage(), Summary: cmd.Summary, Help: cmd.Help})
		}
	}
	switch {
	case len(args) > 1:
		return nil, errors.New("help takes one command at a time: help [COMMAND]")
	case len(described) == 0:
		return nil, fmt.Errorf("no command %q; help without a name lists them", plaintext.Clip(args[0], 40))
	}
	return command.Help(described, len(args) == 1), nil
}

func runDeactivate(_ context.Context, s *Session) (command.Answer, error) {
	if !s.host.deactivate() {
		return nil, errors.New("deactivate: the manhole is not active")
	}
	return command.Said("deactivate", "deactivated; this session may go on"), nil
}

func runHistory(_ context.Context, s *Session) (command.Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return command.History(slices.Clone(s.history)), nil
}

func runSessions(_ context.Context, s *Session, args []string) (command.Answer, error) {
	switch {
	case len(args) == 2 && args[0] == "-end":
		return s.endOther(args[1])
	case len(args) > 0:
		return nil, errors.New("sessions takes -end N, with the number of a session, and nothing else")
	}
	sessions, _ := s.host.sessions.running()
	list := make([]command.RunningSession, 0, len(sessions))
	for _, c := range sessions {
		c.mu.Lock()
		running, since := c.running, c.since
		c.mu.Unlock()
		list = append(list, command.RunningSession{
			Number: c.number, This: c == s.core, PID: c.cred.PID, UID: c.cred.UID, Program: procfs.Name(c.cred.PID),
			Since: c.start, Open: time.Since(c.start).Seconds(), Runs: running, Idle: time.Since(since).Seconds(),
		})
	}
	return command.Sessions(list), nil
}

func runStderr(_ context.Context, s *Session, args []string) error {
	return stderrpipe.Command(&s.stderr, s, s.script, args)
}

// endOther ends another session, which the command sessions shows with that number.
func (s *Session) endOther(number string) (command.Answer, error) {
	n, err := strconv.Atoi(number)
	sessions, _ := s.host.sessions.running()
	i := slices.IndexFunc(sessions, func(c *core) bool { return c.number == n })
	switch {
	case err != nil || i < 0:
		return nil, fmt.Errorf("there is no session %q; sessions shows them with their numbers", plaintext.Clip(number, 40))
	case sessions[i] == s.core:
		return nil, errors.New("this is your own session; exit leaves it")
	case !mayEnd(s.cred, sessions[i].cred):
		return nil, fmt.Errorf("session %d belongs to uid %d; only that user and root may end it", n, sessions[i].cred.UID)
	}
	sessions[i].cancel(endedBy{s.cred, "ended it with sessions -end"})
	return command.Said("sessions", fmt.Sprintf("session %d is ending", n)), nil
}

// sessionList has the running sessions of a manhole.
type sessionList struct {
	mu      sync.Mutex // guards what follows
	all     []*core
	last    int           // the number of the newest session
	allLeft chan struct{} // closed when the last session has ended
}

// forgotten is how long a session must have been at the prompt until another client may
// have its place.
const forgotten = time.Minute

// enter adds an authorized client to the running sessions. If there are too many, the
// one that has been at the prompt for the longest time has to go, so that a forgotten
// session locks nobody out. It returns an error if there is none.
func (s *Session) enter(cred Cred) error {
	l := &s.host.sessions
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) >= maxSessions {
		idle := l.idle(cred)
		if idle == nil {
			return fmt.Errorf("%d sessions are open already, which is the limit; leave one and try again (sessions -end N ends another)", len(l.all))
		}
		idle.cancel(endedBy{cred, "needed the place"})
		l.all = slices.DeleteFunc(l.all, func(c *core) bool { return c == idle })
	}
	if len(l.all) == 0 {
		l.allLeft = make(chan struct{})
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
	return fmt.Sprintf("%s, uid %d %s", plaintext.Process(e.cred.PID), e.cred.UID, e.why)
}

// forget removes the session from the running sessions.
func (s *Session) forget() {
	s.cancel(nil)
	l := &s.host.sessions
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.all)
	l.all = slices.DeleteFunc(l.all, func(c *core) bool { return c == s.core })
	if before > 0 && len(l.all) == 0 {
		close(l.allLeft)
	}
}

// running returns the running sessions, and a channel that is closed when the last of
// them has ended.
func (l *sessionList) running() ([]*core, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all), l.allLeft
}
