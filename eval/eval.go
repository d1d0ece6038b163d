// Package eval adds expressions to the console of a manhole: what is typed and
// is no command is evaluated, over the values that the program has given by name.
//
//	m, err := oneshot.Install(oneshot.Options{
//		OneshotOn: syscall.SIGUSR2,
//		Locals:    map[string]any{"cache": cache, "conns": func() any { return server.Conns() }, "level": level},
//		Commands:  []oneshot.Command{eval.Command()},
//	})
//
// In a session:
//
//	>>> 1234+2345
//	3579
//	>>> cache.Len()
//	12
//	>>> filter(conns, .Idle > 60)
//	>>> level.Set(-4)
//	>>> old = filter(conns, .Idle > 60)
//	>>> len(old)
//
// The language is that of github.com/expr-lang/expr: fields, elements and methods
// of Go values, operators, and functions over lists. It cannot write a field, open
// a file or run a program, but it can call every exported method of what the
// program has given, on the goroutine of a session: give what may be called there.
// name = expression keeps a value for the rest of the session.
//
// An evaluation may make 2,000,000 elements and 64 MiB, and ends when the client
// interrupts it or leaves; only a method that does not return is left running. A
// map that the program writes meanwhile ends the program, as it always does in Go:
// give a func() any that copies it under its lock.
package eval

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/values"
)

// Command returns the command for every line that is no other command, for
// oneshot.Options.Commands.
func Command() oneshot.Command {
	return oneshot.Command{
		Args:    "EXPRESSION",
		Summary: "evaluate it, over locals: 1234+2345, cache.Len(), filter(conns, .Idle > 60), x = cache.Len()",
		Run:     run,
	}
}

func run(ctx context.Context, s *oneshot.Session, args []string) error {
	e := &engine{
		lookup: func(name string) (any, bool, error) { return lookup(s, name) },
		names:  func() []string { return slices.Collect(maps.Keys(s.Locals())) },
		keep:   s.SetLocal,
	}
	result, has, err := e.eval(ctx, args[0])
	if err != nil || !has {
		return err
	}
	return values.Write(s, result)
}

// lookup is Local with the panic of a func as an error.
func lookup(s *oneshot.Session, name string) (v any, ok bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: its func panicked: %v", name, p)
		}
	}()
	v, ok = s.Local(name)
	return v, ok, nil
}
