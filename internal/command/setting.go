package command

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

// Setting is a value that a command with one optional argument can show and set.
type Setting struct {
	Command string                   // name of the command
	What    string                   // name of the value in the output
	Read    func() string            // returns the present value, for people
	Set     func(value string) error // its error says which values are allowed
	Value   func() string            // returns the present value as Set takes it; "" if that is not known
	note    func() string            // returns a remark about the value just set, or ""; may be nil
}

// forFlag is the flag with a time after which the old value is set again.
const forFlag = "-for"

// maxSettingTime is the longest time of -for.
const maxSettingTime = 24 * time.Hour

// settingAnswer is the answer of a command that shows or sets a value.
type settingAnswer struct{ document.SettingChange }

// Run shows the value if there are no arguments. Otherwise it sets the value, and
// shows the old and the new one. With -for TIME at the end, the old value is set again
// after that time, unless somebody has set another one meanwhile.
func (x Setting) Run(ctx context.Context, s Session, args []string) error {
	return answers(x.find)(ctx, s, args)
}

func (x Setting) find(_ context.Context, s Session, args []string) (Answer, error) {
	was, old := x.Read(), x.Value()
	a := &settingAnswer{document.SettingChange{Head: document.Of(x.Command), Name: x.What, Value: was}}
	if len(args) == 0 {
		return a, nil
	}
	args, limit, err := x.parseFor(args, old)
	if err != nil {
		return nil, err
	}
	if err := x.Set(strings.Join(args, " ")); err != nil {
		return nil, fmt.Errorf("%s: %w", x.Command, err)
	}
	a.Was, a.Value = was, x.Read()
	if limit > 0 {
		x.restoreAfter(limit, old)
		a.Restored, a.After = old, limit.Seconds()
	} else {
		s.Changed(Change{What: x.What, Before: x.line(old), After: x.line(x.Value())})
	}
	if x.note != nil {
		a.Note = x.note()
	}
	return a, nil
}

// Text implements Answer.
func (a *settingAnswer) Text(t *dump.Writer) {
	if a.Was == "" {
		t.Printf("%s is %s\n", a.Name, a.Value)
		return
	}
	text := fmt.Sprintf("%s was %s, is %s", a.Name, a.Was, a.Value)
	if a.After > 0 {
		text += fmt.Sprintf(", and will be %s again in %v", a.Restored, seconds(a.After))
	}
	t.Printf("%s\n", text)
	if a.Note != "" {
		t.Printf("%s\n", a.Note)
	}
}

// line returns the command line that sets a value.
func (x Setting) line(value string) string {
	if value == "" {
		return "not known"
	}
	return x.Command + " " + value
}

// parseFor takes -for TIME from the end of the arguments. It returns 0 if it is not
// there. old is the present value.
func (x Setting) parseFor(args []string, old string) (rest []string, limit time.Duration, err error) {
	last := len(args) - 1
	switch {
	case args[last] == forFlag:
		return nil, 0, fmt.Errorf("%s: %s needs a time behind it, such as 10m", x.Command, forFlag)
	case last < 1 || args[last-1] != forFlag:
		return args, 0, nil
	case last == 1:
		return nil, 0, fmt.Errorf("%s: give a value before %s", x.Command, forFlag)
	}
	limit, err = time.ParseDuration(args[last])
	switch {
	case err != nil || limit <= 0 || limit > maxSettingTime:
		return nil, 0, fmt.Errorf("%s: %s %q: give a time such as 30s, 10m or 1h, at most %v", x.Command, forFlag, plaintext.Clip(args[last], 40), maxSettingTime)
	case old == "":
		return nil, 0, fmt.Errorf("%s: the present value is not known, so it cannot be set again; leave out %s", x.Command, forFlag)
	}
	return args[:last-1], limit, nil
}

// restoreAfter sets the old value again after a time. It does not depend on the
// session, which may have ended by then.
func (x Setting) restoreAfter(limit time.Duration, old string) {
	set := x.Value()
	time.AfterFunc(limit, func() {
		if x.Value() == set {
			_ = x.Set(old) // Set has accepted such a value before
		}
	})
}

// Change is a setting of the program that a command has changed.
type Change struct {
	What          string // the name of the value
	Before, After string // the command lines that set the two values; Before may be "not known"
}
