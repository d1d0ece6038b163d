// Package pyvalue parses the options in the environment variable ONESHOT. They are names
// and values in the form of python-manhole's PYTHONMANHOLE, with Python literals. The
// package does not know which options exist, but those that a variable cannot set.
package pyvalue

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

// maxSeconds is the longest time that is accepted. It is far below the limit of
// time.Duration.
const maxSeconds = 1e9

// Scanner splits the text into names and values. Rest is the text that is left.
type Scanner struct{ Rest string }

// space removes white space from the front.
func (s *Scanner) space() { s.Rest = strings.TrimLeftFunc(s.Rest, unicode.IsSpace) }

// take removes white space from the front, and then c if it is there. It reports
// whether c was there.
func (s *Scanner) take(c byte) bool {
	s.space()
	if s.Rest == "" || s.Rest[0] != c {
		return false
	}
	s.Rest = s.Rest[1:]
	return true
}

// Next returns the next name. It skips the comma before the name and the = after it. last
// is the previous name, or empty at the beginning. At the end of the text, Next returns
// an empty name.
func (s *Scanner) Next(last string) (name string, err error) {
	comma := s.take(',')
	s.space()
	if s.Rest == "" && (last != "" || !comma) {
		return "", nil
	}
	i := strings.IndexAny(s.Rest, "=,")
	switch {
	case last == "" && comma || i == 0 && s.Rest[0] == ',':
		return "", errors.New("nothing stands before a comma; write name=value, name=value")
	case last != "" && !comma:
		return "", fmt.Errorf("%.40q stands behind the value of %.40q; put a comma between two options, and quotes around the whole of a value", s.Rest, last)
	case i < 0 || s.Rest[i] == ',':
		text := s.Rest
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
	name = strings.TrimSpace(s.Rest[:i])
	s.Rest = s.Rest[i+1:]
	return name, nil
}

// Value is the value after a =.
type Value struct {
	Text   string   // without quotes; empty for a list
	quoted bool     // it had quotes
	list   []string // the elements of a list; nil if the value is not a list
}

// Value parses the next value: a list in brackets or parentheses, or a single value.
func (s *Scanner) Value() (Value, error) {
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
		list = append(list, v.Text)
		if !s.take(',') && (s.Rest == "" || s.Rest[0] != end) {
			return v, fmt.Errorf("its list is not closed with %c", end)
		}
	}
	return Value{list: list}, nil
}

// scalar parses a value that is not a list: a string in quotes, or a word.
func (s *Scanner) scalar() (Value, error) {
	s.space()
	body, raw := s.Rest, false
	if len(body) > 1 && strings.IndexByte("rRuU", body[0]) >= 0 && isQuote(body[1]) {
		raw = body[0]|0x20 == 'r'
		body = body[1:]
	}
	if body != "" && isQuote(body[0]) {
		text, rest, err := unquote(body, raw)
		s.Rest = rest
		return Value{Text: text, quoted: true}, err
	}
	i := strings.IndexAny(s.Rest, ",])")
	if i < 0 {
		i = len(s.Rest)
	}
	text := strings.TrimSpace(s.Rest[:i])
	s.Rest = s.Rest[i:]
	switch {
	case text == "":
		return Value{}, errors.New("a value is missing")
	case strings.ContainsFunc(text, unicode.IsSpace) || strings.ContainsAny(text, `=[({}"'\`):
		return Value{}, fmt.Errorf("%.40q needs quotes around it, or a comma behind the value", text)
	}
	return Value{Text: text}, nil
}

func isQuote(c byte) bool { return c == '"' || c == '\'' }

// unquote parses a Python string literal up to its closing quote. It returns the string
// and the text after the quote. A raw string keeps its backslashes, and a quote after a
// backslash does not end it. strconv.UnquoteChar parses the escapes: they are the same
// in Go, except for those of quotes. As in Python, \xe9 is a character. In Go it is a
// byte.
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

// none reports whether the value is Python's None.
func (v Value) none() bool { return v.list == nil && !v.quoted && v.Text == "None" }

// Signal returns a signal that a manhole can use. It returns nil for None.
func (v Value) Signal() (os.Signal, error) {
	if v.none() {
		return nil, nil
	}
	if v.list != nil {
		return nil, errors.New(`it is a list; write one signal, such as "USR2"`)
	}
	sig, err := sigset.Parse(v.Text)
	if err != nil {
		return nil, err
	}
	if why := sigset.Unusable(sig); why != "" {
		return nil, fmt.Errorf(`%s opens nothing: %s; write "USR1" or "USR2"`, sigset.Name(sig), why)
	}
	return sig, nil
}

// Path returns a path. It returns an empty string for None.
func (v Value) Path() (string, error) {
	if v.none() {
		return "", nil
	}
	if v.list != nil || v.Text == "" {
		return "", errors.New(`it is no path; write one such as "/tmp/manhole-%p", or None for the default`)
	}
	return v.Text, nil
}

// Bool returns a truth value. It accepts yes, no, on, off and the words of
// strconv.ParseBool, in upper or lower case.
func (v Value) Bool() (bool, error) {
	switch strings.ToLower(v.Text) {
	case "yes", "on":
		return true, nil
	case "no", "off":
		return false, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(v.Text))
	if err != nil {
		return false, fmt.Errorf("%.40q is neither true nor false; write True or False", v.Text)
	}
	return b, nil
}

// Duration returns a time that is not negative. It accepts a number of seconds and the
// form of time.ParseDuration.
func (v Value) Duration() (time.Duration, error) {
	d, err := time.ParseDuration(v.Text)
	if seconds, notNumber := strconv.ParseFloat(v.Text, 64); notNumber == nil {
		d, err = -1, nil
		if seconds >= 0 && seconds <= maxSeconds { // false for NaN
			d = time.Duration(seconds * float64(time.Second))
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%.40q is no time; write seconds, such as 0.5, or 500ms, 30s, 15m", v.Text)
	case d < 0 || d > maxSeconds*time.Second:
		return 0, fmt.Errorf("%.40q is out of range; write a time from 0 to %d seconds", v.Text, int(maxSeconds))
	}
	return d, nil
}

// Timeout returns a time that is greater than 0.
func (v Value) Timeout() (time.Duration, error) {
	d, err := v.Duration()
	if err == nil && d == 0 {
		return 0, errors.New("0 leaves no time; write seconds, such as 60, or leave the option out for the default")
	}
	return d, err
}

// Sigmask returns a set of signals, or nil for all signals. It accepts the forms of
// sigset.ParseSet, and those of python-manhole: a list, and None, with which
// python-manhole blocks nothing.
func (v Value) Sigmask() (*sigset.Set, error) {
	var set sigset.Set
	switch name := strings.ToLower(v.Text); {
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
		if set, err = sigset.ParseSet(v.Text); err != nil {
			return nil, err
		}
	}
	return &set, nil
}

// IsOneOf reports whether the value is one of the accepted values. "true" and "false" in
// accepted match all words for which Bool returns that.
func (v Value) IsOneOf(accepted []string) bool {
	text := strings.ToLower(v.Text)
	if b, err := v.Bool(); err == nil && slices.Contains(accepted, strconv.FormatBool(b)) {
		return true
	}
	return v.list == nil && slices.Contains(accepted, text)
}
