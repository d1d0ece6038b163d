// Package eval adds expressions to the console of a manhole. A line that is not a
// command is evaluated as an expression. It can use the values in Options.Locals by
// their names.
//
//	m, err := oneshot.Install(oneshot.Options{
//		OneshotOn: syscall.SIGUSR2,
//		Locals: map[string]any{
//			"conns": func() any { return server.Conns() }, // locks and copies
//			"level": func() any { return level },          // a *slog.LevelVar needs no lock
//			"cache": cache,                                // only numbers in it can be used
//			"debug": slog.LevelDebug,
//		},
//		Commands: []oneshot.Command{eval.Command()},
//	})
//
// In a session:
//
//	>>> 1234+2345
//	3579
//	>>> filter(conns, .Idle > 60)
//	>>> level.Set(-4)
//	>>> cache.Hits
//	12
//	>>> old = filter(conns, .Idle > 60)
//	>>> len(old)
//
// The language is that of github.com/expr-lang/expr: fields, elements and methods
// of Go values, operators, and functions over lists. An expression cannot write a
// field, open a file or run a program. But it can call every exported method of what
// a func() any has returned, in the goroutine of a session. Return only values whose
// methods may be called there, and that nobody else writes: copies, or values that
// need no lock. The line
//
//	name = expression
//
// keeps a value for the rest of the session.
//
// The program may be writing any other value at the same moment. Of such a value, an
// expression can use only numbers and booleans, by the names of fields
// (cache.Hits, cache.Stats.Open), also those in types of sync/atomic
// (cache.Hits.Load()). A value that is itself a number, boolean, string or time can
// be used too. All else could end the program: an interface, string or slice may be
// half old and half new, and reading a map during a write is fatal. The line
//
//	-racy EXPRESSION
//
// uses everything all the same, and CAN END THE PROGRAM.
//
// An evaluation may make 2,000,000 elements and use 64 MiB. Copies of structs and
// arrays of more than 256 bytes count each time they are made, smaller ones if they
// become part of a result. For a value that is kept, the limits are 100,000 elements
// and 4 MiB. An evaluation ends when the client interrupts it or disconnects. A
// method that does not return continues to run, and is abandoned. A match cannot be
// interrupted; its text may have 256 KiB, and its pattern 1 KiB.
package eval

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/values"
)

// Command returns a command for oneshot.Options.Commands. It evaluates every line
// that is not another command.
func Command() oneshot.Command {
	return oneshot.Command{
		Fallback: true,
		Args:     "[-racy] EXPRESSION",
		Summary:  "evaluate an expression with the locals: 1234+2345, filter(conns, .Idle > 60), x = len(conns); with -racy it can END THE PROGRAM",
		Run:      run,
	}
}

// racyFlag is at the beginning of a line that may use all values.
const racyFlag = "-racy"

func run(ctx context.Context, s *oneshot.Session, args []string) error {
	line, racy := args[0], false
	rest, flag := strings.CutPrefix(strings.TrimLeft(line, " "), racyFlag+" ")
	if _, isName := s.Locals()[racyFlag[1:]]; flag && !isName { // else the line is a negative number
		line, racy = strings.Repeat(" ", len(line)-len(rest))+rest, true // positions in errors stay right
	}
	e := &engine{
		lookup: func(name string) (any, bool, error) { return lookup(s, name, racy) },
		names:  func() []string { return slices.Collect(maps.Keys(s.Locals())) },
		keep: func(name string, value any) error {
			if racy {
				return s.SetLocal(name, value)
			}
			return s.SetLocal(name, func() any { return value })
		},
	}
	result, has, err := e.eval(ctx, line)
	if err != nil || !has {
		return err
	}
	return values.Write(s, result)
}

// lookup returns a local. If it is a func() any, lookup calls it, and returns its
// panic as an error. Any other value is returned as a live, unless racy is set.
func lookup(s *oneshot.Session, name string, racy bool) (v any, ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: its func panicked: %s", name, values.Failure(p))
		}
	}()
	v, ok = s.Locals()[name]
	if f, isFunc := v.(func() any); isFunc && f != nil {
		return f(), true, nil
	}
	if ok && !racy {
		v = live{v}
	}
	return v, ok, nil
}
