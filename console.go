package oneshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/clientio"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/shellwords"
)

// Console is the handler for people. It prints which program this is, what stands out
// in it and what its goroutines are doing. Then it runs the commands that the user types.
type Console struct {
	// AllStacks shows on connect as much as the command stacks does. Without it, there are
	// at most 24 lines, or 60 lines of stacks if nothing stands out and these are all.
	AllStacks bool
}

func (Console) forPeople() bool { return true }

// Serve implements Handler.
func (c Console) Serve(ctx context.Context, s *Session) error {
	s, release := s.until(ctx)
	defer release()
	// Send the rest of the banner before anything that may have to wait for the
	// program, such as reading its goroutines.
	writeBanner(s)
	if err := s.Flush(); err != nil {
		return err
	}
	s.lineBegun()
	first := firstScreen(c.AllStacks)
	s.setRunning(first.Name)
	if err := s.do(first, nil); err != nil {
		fmt.Fprintln(s, plaintext.Error(err))
	}
	s.setRunning("")
	for {
		_, _ = io.WriteString(s, protocol.Prompt)
		line, err := s.ReadLine()
		switch {
		case errors.Is(err, io.EOF):
			writeChanges(s)
			return nil
		case errors.Is(err, ErrLineTooLong):
			fmt.Fprintf(s, "%v\n", err)
			continue
		case errors.Is(err, clientio.ErrIdle):
			fmt.Fprintf(s, "\nnothing was typed for %v; the session ends\n", s.host.opts.IdleTimeout)
			_ = s.Flush() // the client may have disconnected too
			return err
		case err != nil:
			return err
		}
		switch err := s.Run(line); {
		case errors.Is(err, errExit):
			writeChanges(s)
			return nil
		case err != nil:
			fmt.Fprintln(s, plaintext.Error(err))
		}
	}
}

// answerQuery answers a line that is a query of a client's line editor. It reports
// whether it is one. Such a line is neither logged nor kept.
func (s *Session) answerQuery(line string) bool {
	id, text, ok := protocol.ParseQuery(line)
	if !ok || !isConsole(s.handler()) {
		return false
	}
	_, _ = s.out.WriteString(protocol.Answer(id, s.completions(text)))
	return true
}

// completions returns the words with which the last word of a line can go on, sorted.
func (s *Session) completions(line string) []string {
	start := shellwords.LastWord(line)
	before, err := shellwords.Split(line[:start])
	if err != nil {
		return nil
	}
	word := line[start:]
	var all []string
	switch {
	case len(before) == 0, len(before) == 1 && before[0] == "help":
		for _, cmd := range s.host.commands {
			all = append(all, cmd.Name)
		}
	default:
		if cmd := lookup(s.host.commands, before[0]); cmd != nil && cmd.candidates != nil {
			all = cmd.candidates(s, before, word)
		}
	}
	if fallback(s.host.commands) != nil && (len(before) == 0 || lookup(s.host.commands, before[0]) == nil) {
		// An expression: what is completed is the name at its end.
		ahead := word[:len(word)-len(shellwords.NameAtEnd(word))]
		for name := range s.Locals() {
			all = append(all, ahead+name)
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool {
		return !strings.HasPrefix(s, word) && !strings.HasPrefix(strings.Trim(s, "'"), word)
	})
	slices.Sort(all)
	return slices.Compact(all)
}

// writeChanges reminds of the settings of the program that are not as they were.
func writeChanges(s *Session) {
	for _, c := range s.changed() {
		fmt.Fprintf(s, "%s stays changed: now %s, before %s\n", c.What, c.After, c.Before)
	}
}

// writeBanner writes how long the program has been running and who the client is.
func writeBanner(s *Session) {
	if up := s.host.uptime(); up > 0 {
		fmt.Fprintf(s.out, "up %v; ", up.Round(time.Second))
	}
	fmt.Fprintf(s.out, "you are %s, uid %d; help lists the commands\n", plaintext.Process(s.cred.PID), s.cred.UID)
}
