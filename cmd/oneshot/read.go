//go:build linux && !oneshot_noproc

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// readCommand is a command about the goroutines of a program that is read from its
// memory.
type readCommand struct {
	command.Stacks
	command   string // stacks, goroutine, or empty for the first screen
	goroutine uint64
}

// answer writes the answer of the command.
func (c *readCommand) answer(w io.Writer, a command.Answer) error {
	return command.Show(context.Background(), w, a, c.Show)
}

// parseRead parses the command behind the core or the process. name is for errors.
func parseRead(name string, words []string) (c readCommand, err error) {
	if len(words) == 0 {
		return c, nil
	}
	c.command = words[0]
	switch c.command {
	case "screen":
		if words, c.Show = command.CutJSON(words); len(words) > 1 {
			err = fmt.Errorf("screen takes no %.40q", words[1])
		}
		c.command = ""
	case "stacks":
		c.Stacks, err = command.ParseStacks(words[1:])
	case "goroutine":
		c.goroutine, c.Show, err = command.ParseGoroutine(words[1:])
	default:
		err = fmt.Errorf("%.40q cannot be used for a program that is read from its memory; use screen, stacks or goroutine", c.command)
	}
	if err != nil {
		err = usageError{name + ": " + err.Error()}
	}
	return c, err
}

// reading is a program that is read from its memory.
type reading struct {
	program *image.Program
	live    *liveEvidence    // nil for a core, which is one moment
	process document.Process // for the JSON form
	vitals  *document.Vitals // for the first screen; nil if they are not known
	core    *document.Core   // nil for a running program
}

// liveEvidence is what is known of a running program besides its goroutines.
type liveEvidence struct {
	findings.Evidence
	tick   func() int64         // returns the program's clock
	vitals func() vitals.Sample // returns the vital signs as they are now
}

// The times between two looks.
const (
	lookAgain = 60 * time.Millisecond  // for the findings
	maxLater  = 3                      // looks more, where the first ones are no evidence (findings.Evidence.TooEarly)
	lookLater = 300 * time.Millisecond // between those
	diffTime  = time.Second            // for stacks -diff
)

// run writes what the command asks for to w, and remarks to notes.
func (r *reading) run(w, notes io.Writer, c readCommand) error {
	if c.command == "goroutine" {
		return r.goroutine(w, notes, c)
	}
	if c.File == "" {
		return r.stacks(w, notes, c)
	}
	return command.ToFile(w, c.File, func(f io.Writer) error {
		screen := display.NewScreen(f)
		return errors.Join(r.stacks(screen, notes, c), screen.Flush())
	})
}

// look reads all goroutines.
func (r *reading) look() (*stack.Snapshot, error) {
	r.setClock()
	return r.program.Snapshot(ours.Is)
}

func (r *reading) setClock() {
	if r.live != nil {
		r.program.Now = r.live.tick()
	}
}

// goroutine writes one goroutine as the runtime does.
func (r *reading) goroutine(w, notes io.Writer, c readCommand) error {
	r.setClock()
	var found []byte
	err := r.program.Each(func(n uint64, text []byte) bool {
		if n == c.goroutine {
			found = bytes.Clone(text)
		}
		return found == nil
	}, nil)
	switch {
	case err != nil:
		return err
	case found == nil:
		return fmt.Errorf("there is no goroutine %d", c.goroutine)
	}
	if r.hasLastCalls(found) {
		fmt.Fprintln(notes, lastCallsRemark)
	}
	d := &dump.Dump{Ctx: context.Background(), Build: r.program.Build}
	return c.answer(w, command.OneGoroutine(d, c.goroutine, string(found)))
}

// lastCallsRemark is about goroutines that run. The form of the runtime has no place for it.
const lastCallsRemark = "oneshot: a goroutine that runs has its last calls, and the inner ones may be over"

// hasLastCalls reports whether a goroutine runs, and its text has calls.
func (r *reading) hasLastCalls(text []byte) bool {
	head, calls, _ := bytes.Cut(text, []byte("\n"))
	_, state, _ := bytes.Cut(head, []byte(" ["))
	return r.live != nil && bytes.HasPrefix(state, []byte("running")) && len(calls) > 0 && !bytes.HasPrefix(calls, []byte("created by "))
}

// stacks writes the findings and the groups, or all stacks as the runtime does.
func (r *reading) stacks(w, notes io.Writer, c readCommand) error {
	if c.Form == dump.Go {
		r.setClock()
		out := bufio.NewWriterSize(w, 64<<10)
		lastCalls := false
		err := r.program.Each(func(_ uint64, text []byte) bool {
			lastCalls = lastCalls || r.hasLastCalls(text)
			_, _ = out.Write(text)
			return out.WriteByte('\n') == nil // also reports an earlier error
		}, nil)
		if lastCalls {
			fmt.Fprintln(notes, lastCallsRemark)
		}
		return errors.Join(err, out.Flush())
	}
	first, err := r.look()
	if err != nil {
		return err
	}
	if !c.Diff {
		return r.show(w, c, nil, first)
	}
	if r.live == nil {
		return errors.New("stacks: a core is one moment, and -diff needs two")
	}
	fmt.Fprintf(notes, "oneshot: -diff looks again after %v\n", diffTime)
	time.Sleep(diffTime)
	second, err := r.look()
	if err != nil {
		return err
	}
	return r.show(w, c, first, second)
}

// show writes the findings and the groups, or what has changed since before.
func (r *reading) show(w io.Writer, c readCommand, before, now *stack.Snapshot) error {
	a, err := r.find(c, before, now)
	if err != nil {
		return err
	}
	a.Vitals, a.Core = r.vitals, r.core
	if c.command == "" {
		a.AsScreen(r.vitals)
	}
	return c.answer(w, a)
}

// find applies the rules to the goroutines.
func (r *reading) find(c readCommand, before, now *stack.Snapshot) (*command.StacksAnswer, error) {
	d := &dump.Dump{Options: c.Options, Ctx: context.Background(), Build: r.program.Build, Taken: now}
	if c.State == "" && c.Match == nil {
		found, err := r.findings(now)
		if err != nil {
			return nil, err
		}
		d.Found = r.usable(found)
	}
	return command.StacksOf(d, r.process, before), nil
}

// usable removes from the findings the commands that need the program's help, and those
// that a core cannot answer.
func (r *reading) usable(found []findings.Finding) []findings.Finding {
	for i, f := range found {
		name, args, _ := strings.Cut(f.Next, " ")
		if name != "goroutine" && name != "stacks" && (name != "fds" || r.live == nil) || args == "-diff" && r.live == nil {
			found[i].Next = ""
		}
	}
	return found
}

// findingsTime is how long the rules may search after each look.
const findingsTime = 2 * time.Second

// findings applies the rules. It looks again at a running program if there is
// something, as the program itself would (lookAround in package dump).
func (r *reading) findings(first *stack.Snapshot) ([]findings.Finding, error) {
	e, looks := &findings.Evidence{}, 1
	if r.live != nil {
		e, looks = &r.live.Evidence, dump.LooksFor(first)
		e.After = r.live.vitals()
	}
	e.Looks, e.Code = []*stack.Snapshot{first}, dump.Code(r.program.Build)
	pause := lookAgain
	for later := 0; ; {
		e.Final, e.Deadline = len(e.Looks) == looks, time.Now().Add(findingsTime)
		found := findings.Find(e)
		if e.Cut() {
			found = append(found, dump.CutShort)
		}
		if e.Final && later < maxLater && looks > 1 && e.TooEarly(found) {
			looks, later, pause, e.Final = looks+1, later+1, lookLater, false
		}
		if len(found) == 0 || e.Final {
			return found, nil
		}
		if e.Cut() { // what was found so far are suspicions; one other look must do
			looks = len(e.Looks) + 1
		}
		time.Sleep(pause)
		next, err := r.look()
		if err != nil {
			return nil, err
		}
		e.Looks, e.After = append(e.Looks, next), r.live.vitals()
	}
}
