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

// Form is the form in which a command prints its answer.
type Form int

const (
	AsText Form = iota
	AsJSON
	AsBoth // the JSON object, and behind it the text
)

// bothFlag asks for both forms: to find an answer can be a burden for the program.
const bothFlag = jsonFlag + "=text"

// jsonHelp is what the help of a command says about it.
const jsonHelp = "\n  -json  print one JSON object, which docs/json.md describes"

// answers returns the Run function of a command that finds an answer.
func answers(find func(context.Context, Session, []string) (Answer, error)) func(context.Context, Session, []string) error {
	return func(ctx context.Context, s Session, args []string) error {
		args, form := CutJSON(args)
		if form == AsText {
			a, err := find(ctx, s, args)
			if err != nil || a == nil {
				return err
			}
			return Show(ctx, s, a, form)
		}
		before := &held{Session: s}
		a, err := find(ctx, before, args)
		if err != nil || a == nil {
			return err
		}
		return before.show(ctx, s, a, form)
	}
}

// Answers is like answers, for a command that is not about a Session, and of which find
// writes nothing.
func Answers[S io.Writer](find func(context.Context, S, []string) (Answer, error)) func(context.Context, S, []string) error {
	return func(ctx context.Context, s S, args []string) error {
		args, form := CutJSON(args)
		a, err := find(ctx, s, args)
		if err != nil {
			return err
		}
		return Show(ctx, s, a, form)
	}
}

// Show writes an answer in one of its forms.
func Show(ctx context.Context, w io.Writer, a Answer, form Form) error {
	if form != AsText {
		if err := document.Write(ctx, w, a); err != nil || form == AsJSON {
			return err
		}
	}
	t := &dump.Writer{Ctx: ctx, W: w}
	a.Text(t)
	return t.Err
}

// CutJSON removes the flag -json or -json=text from the arguments of a command.
func CutJSON(args []string) (rest []string, form Form) {
	flags := args
	if i := slices.Index(args, "--"); i >= 0 { // what follows are no flags
		flags = args[:i]
	}
	for i, word := range flags {
		switch word {
		case jsonFlag, "-" + jsonFlag:
			form = AsJSON
		case bothFlag, "-" + bothFlag:
			form = AsBoth
		default:
			continue
		}
		rest, _ = CutJSON(slices.Delete(slices.Clone(args), i, i+1))
		return rest, form
	}
	return args, AsText
}

// held is a session in which a command may write, for people, what it is going to do, and
// the beginning of its text. It is kept until the object is written.
type held struct {
	Session
	text []byte
}

func (h *held) Write(p []byte) (int, error) {
	h.text = append(h.text, p...)
	return len(p), nil
}

// show writes the object, and behind it the text, if form asks for it.
func (h *held) show(ctx context.Context, w io.Writer, a Answer, form Form) error {
	if err := Show(ctx, w, a, AsJSON); err != nil || form == AsJSON {
		return err
	}
	if _, err := w.Write(h.text); err != nil {
		return err
	}
	return Show(ctx, w, a, AsText)
}

// noJSON returns the error of a command that has no JSON form.
func noJSON(command, why string) error {
	return fmt.Errorf("%s: there is no -json: %s", command, why)
}
