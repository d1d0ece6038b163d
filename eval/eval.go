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
// An evaluation may make 2,000,000 elements and 64 MiB, a value that is kept
// 100,000 and 4 MiB. It ends when the client interrupts it or leaves; a method that
// does not return is left running, and a match, of at most 256 KiB with a pattern of
// at most 1 KiB, runs to its end.
//
// An expression that reads a map while the program writes it ends the program, as
// it always does in Go: give maps as a func() any that copies them under their
// lock. What is shown of a result has no maps in it unless all its values come
// from such functions.
package eval

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

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
	var direct atomic.Bool // a value was used that may be the program's own, and not a copy
	e := &engine{
		lookup: func(name string) (any, bool, error) {
			if _, isFunc := s.Locals()[name].(func() any); !isFunc {
				direct.Store(true)
			}
			return lookup(s, name)
		},
		names: func() []string { return slices.Collect(maps.Keys(s.Locals())) },
		keep:  s.SetLocal,
	}
	result, has, err := e.eval(ctx, args[0])
	if err != nil || !has {
		return err
	}
	if direct.Load() {
		return values.WriteWithoutMaps(s, result)
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
