//go:build linux || darwin || freebsd

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/compare"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/command"
)

const diffHelp = `usage: oneshot diff [-json] A B [C...]

Compares what processes do. Each argument is one of these:

	4321             a process, by its pid
	ssh:HOST:4321    a process on another machine, with oneshot there
	FILE             what oneshot PID stacks -json has printed, or screen -json
	FILE.tar.gz      a bundle

Of one process at several moments, it shows what has grown. For that, the process must
be the same, not a new one with its pid:

	oneshot 4321 stacks -json -n 0 > before.json
	oneshot diff before.json 4321

Of several processes, it shows which one is the odd one out: the one with goroutines at
a place, a finding or a vital sign that none of the others has. It needs at least three
to say that; of two, it says which has more of what. Of five or more, a few may have the
same fault, and all of these are named: two, or of many a quarter. If only chance makes
them differ, it says so. Running processes are looked at twice, 2 seconds apart, and only
what is there both times counts:

	oneshot diff $(pgrep -x server)
	oneshot diff ssh:web1:4321 ssh:web2:977 ssh:web3:1201

Goroutines are compared by place: the innermost frame of the program's own code. If the
builds differ, the line does not count. HOST is a name for ssh, also with USER@ in front.
ssh asks no questions: keys and ~/.ssh/config must be enough.

	-json   print one JSON object, which docs/json.md describes
`

// diffFlags are the flags of diff.
type diffFlags struct{ json bool }

func (f *diffFlags) define(flags *flag.FlagSet) {
	flags.BoolVar(&f.json, "json", false, "print one JSON object, which docs/json.md describes")
}

const (
	// maxOrigins is how many dumps can be compared.
	maxOrigins = 64
	// lookTwice is the time between the two looks at running processes.
	lookTwice = 2 * time.Second
	// originTime is how long one dump may take.
	originTime = time.Minute
)

func runDiff(args []string, stdout, stderr io.Writer) error {
	var f diffFlags
	rest, err := parseMixed("diff", args, f.define)
	switch {
	case err != nil:
		return err
	case len(rest) < 2:
		return usageError{"diff: give at least two dumps, bundles or processes to compare: oneshot diff before.json 4321"}
	case len(rest) > maxOrigins:
		return usageError{fmt.Sprintf("diff: %d are too many to compare; give at most %d", len(rest), maxOrigins)}
	}
	var origins []origin
	for i, arg := range rest {
		if slices.Contains(rest[:i], arg) {
			return usageError{fmt.Sprintf("diff: %.200q is there twice", arg)}
		}
		s, err := parseOrigin(arg)
		if err != nil {
			return usageError{"diff: " + err.Error()}
		}
		origins = append(origins, s)
	}
	dumps, err := readOrigins(origins)
	if err != nil {
		return err
	}
	result, err := compareDumps(origins, dumps)
	if err != nil {
		return err
	}
	form := command.AsText
	if f.json {
		form = command.AsJSON
	}
	screen := display.NewScreen(stdout)
	return errors.Join(command.Show(context.Background(), screen, result, form), screen.Flush())
}

// compareDumps compares the dumps. Running processes are looked at once more, since what
// lasts counts, and to measure their CPU use.
func compareDumps(origins []origin, dumps []compare.Dump) (command.Answer, error) {
	if compare.SameProcess(dumps) {
		return compare.Grown(dumps), nil
	}
	var live []origin
	var at []int
	for i, s := range origins {
		if s.isLive() {
			live, at = append(live, s), append(at, i)
		}
	}
	if len(live) == 0 {
		return compare.FindOdd(dumps), nil
	}
	time.Sleep(lookTwice)
	later, err := readOrigins(live)
	if err != nil {
		return nil, err
	}
	again := slices.Clone(dumps)
	for k, i := range at {
		again[i] = later[k]
		compare.Measure(&dumps[i], &again[i])
	}
	found := compare.FindOdd(dumps)
	found.Confirm(compare.FindOdd(again))
	return found, nil
}

// readOrigins reads all origins at the same time.
func readOrigins(origins []origin) ([]compare.Dump, error) {
	ctx, cancel := context.WithTimeout(context.Background(), originTime)
	defer cancel()
	dumps, failed := make([]compare.Dump, len(origins)), make([]error, len(origins))
	var all sync.WaitGroup
	for i, s := range origins {
		all.Go(func() {
			d, err := s.read(ctx)
			if err != nil {
				failed[i] = fmt.Errorf("diff: %s: %w", s.name, err)
				return
			}
			dumps[i] = compare.Dump{Name: s.name, Stacks: *d}
		})
	}
	all.Wait()
	return dumps, errors.Join(failed...)
}
