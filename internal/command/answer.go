package command

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
)

// Answer is what a command has found out. The text and the JSON object are two forms of
// it: the object has the answer's fields with a json tag (package document).
type Answer interface {
	// Text writes the answer for people.
	Text(t *dump.Writer)
}

// jsonFlag asks for the JSON form of an answer.
const jsonFlag = "-json"

// jsonHelp is what the help of a command says about it.
const jsonHelp = "\n  -json  print one JSON object, which docs/json.md describes"

// answers returns the Run function of a command that finds an answer.
func answers(find func(context.Context, Session, []string) (Answer, error)) func(context.Context, Session, []string) error {
	return func(ctx context.Context, s Session, args []string) error {
		args, asJSON := CutJSON(args)
		finder := s
		if asJSON {
			finder = muted{s}
		}
		a, err := find(ctx, finder, args)
		if err != nil || a == nil {
			return err
		}
		return Show(ctx, s, a, asJSON)
	}
}

// Answers is like answers, for a command that is not about a Session, and of which find
// writes nothing.
func Answers[S io.Writer](find func(context.Context, S, []string) (Answer, error)) func(context.Context, S, []string) error {
	return func(ctx context.Context, s S, args []string) error {
		args, asJSON := CutJSON(args)
		a, err := find(ctx, s, args)
		if err != nil {
			return err
		}
		return Show(ctx, s, a, asJSON)
	}
}

// Show writes an answer in one of its forms.
func Show(ctx context.Context, w io.Writer, a Answer, asJSON bool) error {
	if asJSON {
		return document.Write(ctx, w, a)
	}
	t := &dump.Writer{Ctx: ctx, W: w}
	a.Text(t)
	return t.Err
}

// CutJSON removes the flag -json from the arguments of a command.
func CutJSON(args []string) (rest []string, asJSON bool) {
	flags := args
	if i := slices.Index(args, "--"); i >= 0 { // what follows are no flags
		flags = args[:i]
	}
	for i, word := range flags {
		if word == jsonFlag || word == "-"+jsonFlag {
			rest, _ = CutJSON(slices.Delete(slices.Clone(args), i, i+1))
			return rest, true
		}
	}
	return args, false
}

// muted is a session in which a command may write, for people, what it is going to do.
// Nothing of that is shown.
type muted struct{ Session }

func (muted) Write(p []byte) (int, error) { return len(p), nil }

// noJSON returns the error of a command that has no JSON form.
func noJSON(command, why string) error {
	return fmt.Errorf("%s: there is no -json: %s", command, why)
}
