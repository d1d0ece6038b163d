//go:build linux

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/findings"
	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/ours"
	"github.com/gomanhole/oneshot/internal/stack"
)

// readCommand is a command for a program that is read from its memory.
type readCommand struct {
	dump.Options
	command   string // stacks, goroutine, or empty for the first screen
	asGo      bool
	goroutine uint64
}

// parseRead parses the command behind the core or the process. name is for errors.
func parseRead(name string, words []string) (c readCommand, err error) {
	if len(words) == 0 {
		return c, nil
	}
	switch c.command, words = words[0], words[1:]; c.command {
	case "stacks":
		return c, c.parseStacks(name, words)
	case "goroutine":
		if len(words) == 1 {
			c.goroutine, err = strconv.ParseUint(words[0], 10, 64)
		}
		if len(words) != 1 || err != nil {
			return c, usageError{name + ": name one goroutine by its id: goroutine 18"}
		}
		return c, nil
	}
	return c, usageError{fmt.Sprintf("%s: there is no %.40q for a program that is read from its memory; there are stacks and goroutine", name, c.command)}
}

func (c *readCommand) parseStacks(name string, args []string) error {
	n := dump.DefaultGroups
	rest, err := parseFlags(name, args, func(flags *flag.FlagSet) {
		flags.IntVar(&n, "n", n, "")
		flags.StringVar(&c.State, "state", "", "")
		flags.BoolVar(&c.Full, "full", false, "")
		flags.BoolVar(&c.asGo, "go", false, "")
	})
	switch {
	case err != nil:
		return err
	case n < 0:
		return usageError{fmt.Sprintf("%s: stacks: -n %d: give the number of groups, 0 for all", name, n)}
	case len(rest) > 1:
		return usageError{name + ": stacks: one regular expression at a time; use a|b for several"}
	case c.asGo && (len(rest) > 0 || c.State != "" || c.Full):
		return usageError{name + ": stacks: -go shows all goroutines; it takes no -state, -full or expression"}
	case len(rest) == 1:
		if c.Match, err = regexp.Compile(rest[0]); err != nil {
			return usageError{name + ": stacks: " + err.Error()}
		}
	}
	if c.Groups = n; n == 0 {
		c.Groups = -1
	}
	return nil
}

// reading is a program that is read from its memory.
type reading struct {
	program *image.Program
	looks   int          // how often the findings look at the program; 0 is once
	tick    func() int64 // returns the program's clock; nil if it stands still
}

// lookAgain is the time between two looks.
const lookAgain = 60 * time.Millisecond

// run writes what the command asks for.
func (r *reading) run(w io.Writer, c readCommand) error {
	r.setClock()
	switch {
	case c.command == "goroutine":
		return r.goroutine(w, c.goroutine)
	case c.asGo:
		return r.program.Each(func(_ uint64, text []byte) bool {
			_, err := fmt.Fprintf(w, "%s\n", text)
			return err == nil
		}, nil)
	}
	return r.stacks(w, c)
}

func (r *reading) setClock() {
	if r.tick != nil {
		r.program.Now = r.tick()
	}
}

// goroutine writes one goroutine as the runtime does.
func (r *reading) goroutine(w io.Writer, id uint64) error {
	found := false
	err := r.program.Each(func(n uint64, text []byte) bool {
		if found = n == id; found {
			_, _ = w.Write(bytes.TrimRight(text, "\n")) // the writer keeps its error
			_, _ = io.WriteString(w, "\n")
		}
		return !found
	}, nil)
	if err == nil && !found {
		err = fmt.Errorf("there is no goroutine %d", id)
	}
	return err
}

// stacks writes the findings and the groups.
func (r *reading) stacks(w io.Writer, c readCommand) error {
	snapshot, err := r.program.Snapshot(ours.Is)
	if err != nil {
		return err
	}
	d := &dump.Dump{Options: c.Options}
	t := &dump.Writer{Ctx: context.Background(), W: w}
	if c.State == "" && c.Match == nil {
		found, err := r.findings(snapshot)
		if err != nil {
			return err
		}
		t.Findings(found)
	}
	t.Groups(d.Selected(snapshot), d.Limit(), d.Full)
	return t.Err
}

// findingsTime is how long the rules may search.
const findingsTime = 2 * time.Second

// findings applies the rules that need only the goroutines.
func (r *reading) findings(first *stack.Snapshot) ([]findings.Finding, error) {
	code := findings.Code{Main: r.program.Build.Main.Path, Deps: map[string]bool{}}
	for _, dep := range r.program.Build.Deps {
		code.Deps[dep.Path] = true
	}
	e := &findings.Evidence{Looks: []*stack.Snapshot{first}, Code: code}
	e.Before.At = time.Now()
	for len(e.Looks) < r.looks {
		time.Sleep(lookAgain)
		r.setClock()
		next, err := r.program.Snapshot(ours.Is)
		if err != nil {
			return nil, err
		}
		e.Looks = append(e.Looks, next)
	}
	e.After.At = time.Now()
	e.Final, e.Deadline = true, time.Now().Add(findingsTime)
	return findings.Find(e), nil
}
