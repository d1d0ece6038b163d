package pyvalue

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

// MaxText is how many bytes the variable may have.
const MaxText = 64 << 10

// Option is an option that the variable can set. O is the type of all options.
type Option[O any] struct {
	Name    string
	Example string // a value, for errors
	Set     func(*O, Value) error
}

// elsewhere has the options of Install or manhole that the variable cannot set.
// Options of manhole are accepted with manhole's default value, since PYTHONMANHOLE
// may contain them.
var elsewhere = map[string]struct {
	accepts []string // in lower case; true and false include every word that means the same
	why     string
}{
	"no_receiver": {nil, "is not offered here, since nobody would call Wait and the signal would go unheard; leave it out, or call Install with NoReceiver in the program"},
	"authorize":   {nil, "is a Go function, which no variable can hold; call Install with it in the program"},
	"commands":    {nil, "are Go functions, which no variable can hold; call Install with them in the program"},
	"logger":      {nil, "is a Go value, which no variable can hold; call Install with it in the program, or write verbose=False for silence"},

	"patch_fork":          {[]string{"true"}, "has no equivalent, since a Go program does not fork without exec; leave it out"},
	"thread":              {[]string{"true"}, "has no equivalent, since nothing waits for clients before a signal; leave it out"},
	"start_timeout":       {[]string{"0.5", ".5"}, "has no equivalent, since there is no thread to wait for; leave it out"},
	"daemon_connection":   {[]string{"false"}, "has no equivalent, since a Go program that ends waits for nobody; leave it out"},
	"verbose_destination": {[]string{"2"}, "has no equivalent, since the program's slog.Default has the log; leave it out, or write verbose=False for silence"},
	"locals":              {[]string{"none"}, "are Go values, which no variable can hold; call Install with them in the program"},
}

// Parse parses the value of the variable. If the error is about one option, it returns its
// name too.
func Parse[O any](text string, options []Option[O]) (o O, option string, err error) {
	if len(text) > MaxText {
		return o, "", fmt.Errorf("it has %d bytes; at most %d are read", len(text), MaxText)
	}
	s := Scanner{Rest: text}
	seen := map[string]bool{}
	for last := ""; ; {
		name, err := s.Next(last)
		if err != nil || name == "" {
			return o, "", err
		}
		last = name
		if err := set(&o, name, options, &s, seen); err != nil {
			return o, name, err
		}
	}
}

// set reads the value of one option and sets it.
func set[O any](o *O, name string, options []Option[O], s *Scanner, seen map[string]bool) error {
	i := slices.IndexFunc(options, func(opt Option[O]) bool { return opt.Name == name })
	other, known := elsewhere[name]
	if i < 0 && !known {
		return unknownOption(name, options)
	}
	if seen[name] {
		return errors.New("it is given twice; leave one of them out")
	}
	seen[name] = true
	if seen["strict"] && seen["reinstall"] {
		return errors.New("strict and reinstall are one option and its reverse, and both are given; leave one of them out")
	}
	v, err := s.Value()
	switch {
	case known && (err != nil || !v.IsOneOf(other.accepts)):
		return errors.New(other.why)
	case known:
		return nil
	case err != nil:
		return fmt.Errorf("%w; write %s=%s", err, name, options[i].Example)
	}
	return options[i].Set(o, v)
}

// unknownOption returns an error that suggests the option that was probably meant,
// and lists all options.
func unknownOption[O any](name string, options []Option[O]) error {
	meant, names := "", make([]string, len(options))
	for i, opt := range options {
		names[i] = opt.Name
		if plaintext.IsSlip(strings.ToLower(name), opt.Name) {
			meant = "did you mean " + opt.Name + "? "
		}
	}
	return fmt.Errorf("there is no such option; %sthere are %s", meant, strings.Join(names, ", "))
}
