package command

import (
	"fmt"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

// This file: the answers of the commands that act on the session itself.

// Description is what help says about a command.
type Description struct {
	Name    string `json:"name"` // "" for the command that runs every other line
	Usage   string `json:"usage"`
	Summary string `json:"summary"`
	Help    string `json:"help,omitempty"`
}

type helpAnswer struct {
	document.Head
	Commands []Description `json:"commands"`
	one      bool
}

// Help returns the answer of help: a list of commands, or one command in full.
func Help(commands []Description, one bool) Answer {
	return &helpAnswer{document.Of("help"), commands, one}
}

// Text implements Answer.
func (a *helpAnswer) Text(t *dump.Writer) {
	for _, c := range a.Commands {
		switch {
		case !a.one:
			t.Printf("  %s\n", plaintext.Columns(c.Usage, c.Summary))
		case c.Help != "":
			t.Printf("%s\n%s\n%s\n", c.Usage, c.Summary, c.Help)
		default:
			t.Printf("%s\n%s\n", c.Usage, c.Summary)
		}
	}
	if !a.one {
		t.Printf("Ctrl-C stops a running command if the client sends it as byte 0x03.\n")
	}
}

type saidAnswer struct{ document.Lines }

// Said returns the answer of a command that says one line.
func Said(command, line string) Answer {
	return &saidAnswer{document.Lines{Head: document.Of(command), Lines: []string{line}}}
}

// Text implements Answer.
func (a *saidAnswer) Text(t *dump.Writer) { t.Printf("%s\n", strings.Join(a.Lines.Lines, "\n")) }

type historyAnswer struct{ document.Lines }

// History returns the answer of history.
func History(lines []string) Answer {
	return &historyAnswer{document.Lines{Head: document.Of("history"), Lines: lines}}
}

// Text implements Answer.
func (a *historyAnswer) Text(t *dump.Writer) {
	for i, text := range a.Lines.Lines {
		t.Printf("%4d  %s\n", i+1, text)
	}
}

// RunningSession is a session in the answer of sessions.
type RunningSession struct {
	Number  int       `json:"number"`
	This    bool      `json:"this,omitempty"` // it is the session that asks
	PID     int       `json:"pid"`            // of the client
	UID     int       `json:"uid"`
	Program string    `json:"program,omitempty"`
	Since   time.Time `json:"-"`
	Start   string    `json:"since"` // RFC 3339
	Open    float64   `json:"open_seconds"`
	Runs    string    `json:"runs,omitempty"` // the command line; absent at the prompt
	Idle    float64   `json:"state_seconds"`  // how long it runs the command, or has been at the prompt
}

type sessionsAnswer struct {
	document.Head
	Sessions []RunningSession `json:"sessions"`
}

// Sessions returns the answer of sessions.
func Sessions(list []RunningSession) Answer {
	for i := range list {
		list[i].Start = list[i].Since.Format(time.RFC3339)
	}
	return &sessionsAnswer{document.Of("sessions"), list}
}

// Text implements Answer.
func (a *sessionsAnswer) Text(t *dump.Writer) {
	for _, c := range a.Sessions {
		who := fmt.Sprintf("%s, uid %d", plaintext.Process(c.PID), c.UID)
		if c.Program != "" {
			who += ", " + plaintext.Line(c.Program)
		}
		doing := fmt.Sprintf("at the prompt for %v", plaintext.Duration(seconds(c.Idle)))
		if c.Runs != "" {
			doing = fmt.Sprintf("runs for %v: %s", plaintext.Duration(seconds(c.Idle)), plaintext.Clip(c.Runs, 200))
		}
		mark := " "
		if c.This {
			mark = "*"
		}
		t.Printf("%s %d  %s, since %s (%v), %s\n", mark, c.Number, who,
			c.Since.Format(time.DateTime), seconds(c.Open).Round(time.Second), doing)
	}
}
