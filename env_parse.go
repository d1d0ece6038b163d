package oneshot

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/sigset"
)

// envScanner takes the text apart.
type envScanner struct{ rest string }

func (s *envScanner) space() { s.rest = strings.TrimLeftFunc(s.rest, unicode.IsSpace) }

// take removes c from the front if it is there, spaces before it included.
func (s *envScanner) take(c byte) bool {
	s.space()
	if s.rest == "" || s.rest[0] != c {
		return false
	}
	s.rest = s.rest[1:]
	return true
}

// next reads a name with its =, and the comma before it unless it is the first.
// At the end the name is empty.
func (s *envScanner) next(last string) (name string, err error) {
	comma := s.take(',')
	s.space()
	if s.rest == "" && (last != "" || !comma) {
		return "", nil
	}
	i := strings.IndexAny(s.rest, "=,")
	switch {
	case last == "" && comma || i == 0 && s.rest[0] == ',':
		return "", errors.New("nothing stands before a comma; write name=value, name=value")
	case last != "" && !comma:
		return "", fmt.Errorf("%.40q stands behind the value of %s; put a comma between two options, and quotes around the whole of a value", s.rest, last)
	case i < 0 || s.rest[i] == ',':
		text := s.rest
		if i >= 0 {
			text = text[:i]
		}
		text = strings.TrimSpace(text)
		if last == "sigmask" {
			return "", fmt.Errorf(`%.40q has no =; if it belongs to sigmask, write that in quotes which the shell leaves alone, sigmask="USR1,TERM"`, text)
		}
		return "", fmt.Errorf(`%.40q has no =; write name=value, such as oneshot_on="USR2"`, text)
	case i == 0:
		return "", errors.New(`no name stands before a =; write name=value, such as oneshot_on="USR2"`)
	}
	name = strings.TrimSpace(s.rest[:i])
	s.rest = s.rest[i+1:]
	return name, nil
}

// envValue is what stands behind a =.
type envValue struct {
	text   string   // without its quotes
	quoted bool     // it had some
	list   []string // the elements of a list; nil: it is none
}

func (s *envScanner) value() (envValue, error) {
	end := byte(']')
	if !s.take('[') {
		end = ')'
		if !s.take('(') {
			return s.scalar()
		}
	}
	list := []string{}
	for !s.take(end) {
		v, err := s.scalar()
		if err != nil {
			return v, err
		}
		list = append(list, v.text)
		if !s.take(',') && (s.rest == "" || s.rest[0] != end) {
			return v, fmt.Errorf("its list is not closed with %c", end)
		}
	}
	return envValue{list: list}, nil
}

// scalar reads one value that is no list.
func (s *envScanner) scalar() (envValue, error) {
	s.space()
	body, raw := s.rest, false
	if len(body) > 1 && strings.IndexByte("rRuU", body[0]) >= 0 && isQuote(body[1]) {
		raw = body[0]|0x20 == 'r'
		body = body[1:]
	}
	if body != "" && isQuote(body[0]) {
		text, rest, err := unquote(body, raw)
		s.rest = rest
		return envValue{text: text, quoted: true}, err
	}
	i := strings.IndexAny(s.rest, ",])")
	if i < 0 {
		i = len(s.rest)
	}
	text := strings.TrimSpace(s.rest[:i])
	s.rest = s.rest[i:]
	switch {
	case text == "":
		return envValue{}, errors.New("a value is missing")
	case strings.ContainsFunc(text, unicode.IsSpace) || strings.ContainsAny(text, `=[({}"'\`):
		return envValue{}, fmt.Errorf("%.40q needs quotes around it, or a comma behind the value", text)
	}
	return envValue{text: text}, nil
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// unquote reads a string as Python has it, up to its closing quote. In a raw one
// a backslash stays, and what follows it ends nothing. UnquoteChar knows the
// escapes, which are the same but for those of the quotes; as in Python, and not
// in Go, \xe9 is the letter and not the byte.
func unquote(s string, raw bool) (text, rest string, err error) {
	quote := s[0]
	var b []byte
	for s = s[1:]; s != ""; {
		switch {
		case s[0] == quote:
			return string(b), s[1:], nil
		case s[0] != '\\':
			b = append(b, s[0])
			s = s[1:]
		case len(s) == 1:
			s = ""
		case raw:
			b = append(b, s[:2]...)
			s = s[2:]
		case isQuote(s[1]):
			b = append(b, s[1])
			s = s[2:]
		default:
			r, _, tail, err := strconv.UnquoteChar(s, 0)
			if err != nil {
				return "", "", fmt.Errorf(`%.2q is no escape that is known here; a backslash is \\, and r"..." has no escapes`, s)
			}
			b = utf8.AppendRune(b, r)
			s = tail
		}
	}
	return "", "", fmt.Errorf("its closing quote %c is missing", quote)
}

func (v envValue) none() bool { return v.list == nil && !v.quoted && v.text == "None" }

func (v envValue) signal() (os.Signal, error) {
	if v.none() {
		return nil, nil
	}
	if v.list != nil {
		return nil, errors.New(`it is a list; write one signal, such as "USR2"`)
	}
	sig, err := sigset.Parse(v.text)
	if err != nil {
		return nil, err
	}
	if why := sigset.Unusable(sig); why != "" {
		return nil, fmt.Errorf(`%s opens nothing: %s; write "USR1" or "USR2"`, sigset.Name(sig), why)
	}
	return sig, nil
}

func (v envValue) path() (string, error) {
	if v.none() {
		return "", nil
	}
	if v.list != nil || v.text == "" {
		return "", errors.New(`it is no path; write one such as "/tmp/manhole-%p", or None for the default`)
	}
	return v.text, nil
}

func (v envValue) bool() (bool, error) {
	switch strings.ToLower(v.text) {
	case "yes", "on":
		return true, nil
	case "no", "off":
		return false, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(v.text))
	if err != nil {
		return false, fmt.Errorf("%.40q is neither true nor false; write True or False", v.text)
	}
	return b, nil
}

// duration reads a time that is not negative.
func (v envValue) duration() (time.Duration, error) {
	d, err := time.ParseDuration(v.text)
	if seconds, notNumber := strconv.ParseFloat(v.text, 64); notNumber == nil {
		d, err = -1, nil
		if seconds >= 0 && seconds <= maxSeconds { // NaN is not
			d = time.Duration(seconds * float64(time.Second))
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%.40q is no time; write seconds, such as 0.5, or 500ms, 30s, 15m", v.text)
	case d < 0 || d > maxSeconds*time.Second:
		return 0, fmt.Errorf("%.40q is out of range; write a time from 0 to %d seconds", v.text, int(maxSeconds))
	}
	return d, nil
}

func (v envValue) timeout() (time.Duration, error) {
	d, err := v.duration()
	if err == nil && d == 0 {
		return 0, errors.New("0 leaves no time; write seconds, such as 60, or leave the option out for the default")
	}
	return d, err
}

// sigmask reads manhole's sigmask as well: a list, and None, of which manhole
// makes that nothing is blocked.
func (v envValue) sigmask() (*SignalSet, error) {
	var set sigset.Set
	switch name := strings.ToLower(v.text); {
	case v.list != nil:
		for _, text := range v.list {
			sig, err := sigset.Parse(text)
			if err != nil {
				return nil, err
			}
			set |= sigset.Of(sig)
		}
	case name == "all" || name == "all_signals" || name == "manhole.all_signals":
		return nil, nil
	default:
		var err error
		if set, err = sigset.ParseSet(v.text); err != nil {
			return nil, err
		}
	}
	mask := SignalSet(set)
	return &mask, nil
}

func (v envValue) terminate() (TerminatePolicy, error) {
	switch strings.ToLower(v.text) {
	case "auto":
		return TerminateAuto, nil
	case "reraise":
		return TerminateReraise, nil
	case "leave":
		return TerminateLeave, nil
	}
	return 0, fmt.Errorf("%.40q is no policy; write auto, reraise or leave", v.text)
}

// handler reads a handler by manhole's names.
func (v envValue) handler() (Handler, error) {
	name := strings.TrimPrefix(v.text, "manhole.")
	switch strings.TrimPrefix(strings.ToLower(name), "handle_connection_") {
	case "repl":
		return Console{}, nil
	case "exec":
		return Exec{}, nil
	}
	return nil, fmt.Errorf("%.40q is no handler; write repl or exec, or call Install with a Handler in the program", v.text)
}

// isOneOf says whether the value is one of those that envElsewhere accepts.
func (v envValue) isOneOf(accepted []string) bool {
	text := strings.ToLower(v.text)
	if b, err := v.bool(); err == nil && slices.Contains(accepted, strconv.FormatBool(b)) {
		return true
	}
	return v.list == nil && slices.Contains(accepted, text)
}

// unknownOption lists the names there are, and first the one that is meant.
func unknownOption(name string) error {
	meant, names := "", make([]string, len(envOptions))
	for i, opt := range envOptions {
		names[i] = opt.name
		if isSlip(strings.ToLower(name), opt.name) {
			meant = "did you mean " + opt.name + "? "
		}
	}
	return fmt.Errorf("there is no such option; %sthere are %s", meant, strings.Join(names, ", "))
}

// isSlip says whether a and b differ in one place by at most two letters, as
// OneshotOn and manhole's own onshot_on do from oneshot_on.
func isSlip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 2 && len(b) <= 2
}
