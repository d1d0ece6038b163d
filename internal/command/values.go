package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/values"
)

// valueCommands are the commands about the values in Options.Locals.
var valueCommands = []*Command{
	{
		Name: "locals", Summary: "list the values in Options.Locals, with their types",
		Help: "print NAME shows one of them in full." + jsonHelp, Flags: []string{jsonFlag},
		Run: answers(NoArgs(findLocals)),
	},
	{
		Name: "print", Args: "[-racy] NAME", Summary: "show one of these values in full",
		Help: "If the program has given a func() any, print calls it and shows its result in full: such a function takes\n" +
			"the program's lock and returns a copy. Of its methods, only String, Error and LogValue are called. The\n" +
			"program may be writing any other value at the same moment. Of such a value, print shows the value itself,\n" +
			"and the numbers, booleans and pointers behind its pointers. It calls no methods, and prints \"not read\" for\n" +
			"strings, interfaces, slices and maps. Depth, length and size are bounded, and the output says where\n" +
			"something was left out.\n" +
			"  -racy  read everything and call the methods, without a lock. If the program writes to the value at the\n" +
			"         same moment, this can END THE PROGRAM, and nothing can prevent that" + jsonHelp,
		Flags: []string{"-racy", jsonFlag},
		Run:   runPrint, complete: completeLocals,
	},
}

// localsAnswer is the answer of locals.
type localsAnswer struct{ document.Locals }

// findLocals writes each value as soon as it has it: the next one may block.
func findLocals(ctx context.Context, s Session) (Answer, error) {
	const width = 100
	locals := s.Locals()
	a := &localsAnswer{document.Locals{Head: document.Of("locals")}}
	for _, name := range slices.Sorted(maps.Keys(locals)) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		l := document.Local{Name: name}
		switch v, isCopy, err := current(locals[name]); {
		case err != nil:
			l.Error = err.Error()
		case isCopy:
			l.Type, l.Value = values.Type(v), values.Short(v, width)
		default:
			l.Type, l.Value = values.Type(v), values.ShortLive(v, width)
		}
		a.Locals.Locals = append(a.Locals.Locals, l)
		writeLocal(s, &l)
	}
	return a, nil
}

// Text implements Answer. The values are written already.
func (a *localsAnswer) Text(t *dump.Writer) {
	if len(a.Locals.Locals) == 0 {
		t.Printf("the program has given no values (Options.Locals)\n")
	}
}

func writeLocal(w io.Writer, l *document.Local) {
	short := l.Value
	if l.Error != "" {
		short = plaintext.Line(l.Error)
	}
	fmt.Fprintf(w, "%-16s %-20s %s\n", plaintext.Line(l.Name), l.Type, short)
}

func runPrint(ctx context.Context, s Session, args []string) error {
	args, form := CutJSON(args)
	if form == AsText {
		return printLocal(s, s.Locals(), args)
	}
	var text strings.Builder // its length is bounded
	if err := printLocal(&text, s.Locals(), args); err != nil {
		return err
	}
	return document.Write(ctx, s, document.Lines{Head: document.Of("print"), Lines: strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")})
}

// printLocal writes one of the values in full.
func printLocal(w io.Writer, locals map[string]any, args []string) error {
	racy := false
	args, err := parseFlags("print", args, option{"racy", &racy})
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return errors.New("print: give one name; locals lists them")
	}
	local, ok := locals[args[0]]
	if !ok {
		return fmt.Errorf("print: there is no local %q; %s", plaintext.Clip(args[0], 40), localNames(locals))
	}
	v, isCopy, err := current(local)
	if err != nil {
		return fmt.Errorf("print: %s: %w", args[0], err)
	}
	if racy || isCopy {
		return values.Write(w, v)
	}
	complete, err := values.WriteLive(w, v)
	if err == nil && !complete {
		_, err = fmt.Fprintln(w, "not read: the program may be writing it; see help print")
	}
	return err
}

// current returns the value of a local now. If the local is a func() any, current
// calls it, and isCopy is true: nobody else writes to what it returns. If it
// panics, current returns an error.
func current(local any) (v any, isCopy bool, err error) {
	f, ok := local.(func() any)
	if !ok || f == nil {
		return local, false, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("!panic: " + values.Failure(p))
		}
	}()
	return f(), true, nil
}

// localNames returns a text that names the locals, for errors.
func localNames(locals map[string]any) string {
	names := slices.Sorted(maps.Keys(locals))
	const most = 20
	switch {
	case len(names) == 0:
		return "the program has given none (Options.Locals)"
	case len(names) > most:
		return "locals lists them"
	}
	return "there are " + strings.Join(names, ", ")
}
