package pattern

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

const (
	maxCode   = 1000 // instructions of an expression
	maxRepeat = 1000 // the largest number in {N,M}
	maxDepth  = 100  // how deep parentheses can be nested
)

// ErrUnsupported is the error for an operator of package regexp that this package does
// not have.
var ErrUnsupported = errors.New(`not supported here, where there are . [...] (...) | * + ? {N,M} ^ $ \d \s \w \b and (?i)`)

// ErrTooLong is the error for an expression that would take too long to match.
var ErrTooLong = errors.New("expression too long, or a repetition too large")

// The other errors. Package regexp/syntax has the same, with the same texts.
var (
	errEncoding  = errors.New("invalid UTF-8")
	errOpen      = errors.New("missing closing )")
	errClosed    = errors.New("unexpected )")
	errOpenClass = errors.New("missing closing ]")
	errRange     = errors.New("invalid character class range")
	errNothing   = errors.New("missing argument to repetition operator")
	errRepeated  = errors.New("invalid nested repetition operator")
	errRepeat    = errors.New("invalid repeat count")
	errBackslash = errors.New("trailing backslash at end of expression")
)

// failed returns an error that shows the part of the expression where it is.
func failed(err error, part string) error {
	return fmt.Errorf("error parsing regexp: %w: `%s`", err, plaintext.Clip(part, 60))
}

// Compile parses a regular expression. Without operators it is a text to search for.
func Compile(expr string) (*Pattern, error) {
	c := compiler{expr: expr, rest: expr}
	if !utf8.ValidString(expr) {
		return nil, failed(errEncoding, expr)
	}
	all, err := c.alternatives(0)
	switch {
	case err != nil:
		return nil, err
	case c.rest != "": // alternatives stops only at the end and at this
		return nil, failed(errClosed, expr)
	}
	p := &Pattern{expr: expr, code: all}
	n := 0
	for ; n < len(all) && all[n].op == character && !all[n].fold; n++ {
		p.prefix += string(all[n].char)
	}
	p.literal = n == len(all)
	return p, nil
}

// compiler parses an expression from the left to the right.
type compiler struct {
	expr string // the whole expression
	rest string // what has not been parsed
	fold bool   // (?i) was there
}

// since returns what has been parsed since the rest was from.
func (c *compiler) since(from string) string { return from[:len(from)-len(c.rest)] }

// take removes the token from the beginning of the rest, if it is there. It is not
// inlined, because that would make its callers larger.
//
//go:noinline
func (c *compiler) take(token string) (ok bool) {
	c.rest, ok = strings.CutPrefix(c.rest, token)
	return ok
}

// next removes one character from the rest, which is not empty.
func (c *compiler) next() rune {
	r, n := utf8.DecodeRuneInString(c.rest)
	c.rest = c.rest[n:]
	return r
}

// alternatives parses what is between parentheses, or the whole expression.
func (c *compiler) alternatives(depth int) (code, error) {
	if depth > maxDepth {
		return nil, failed(ErrTooLong, c.expr)
	}
	fold := c.fold
	defer func() { c.fold = fold }() // (?i) ends with the group
	all, err := c.sequence(depth)
	for err == nil && c.take("|") {
		var other code
		other, err = c.sequence(depth)
		skip := instruction{op: jump, to: [2]int16{int16(len(other) + 1)}}
		all = join(code{forkTo(1, len(all)+2)}, all, code{skip}, other)
		if len(all) > maxCode {
			return nil, failed(ErrTooLong, c.expr)
		}
	}
	return all, err
}

// sequence parses expressions that follow each other.
func (c *compiler) sequence(depth int) (all code, err error) {
	repeatable := false // last can be repeated
	repeated := ""      // the rest from the operator on that repeats it already
	var last code
	for c.rest != "" && c.rest[0] != '|' && c.rest[0] != ')' {
		from := c.rest
		least, most, ok := c.repetition()
		switch {
		case !ok:
			all, repeated = join(all, last), ""
			if last, repeatable, err = c.single(depth); err != nil {
				return nil, err
			}
		case max(least, most) > maxRepeat || most >= 0 && most < least:
			return nil, failed(errRepeat, c.since(from))
		case !repeatable:
			return nil, failed(errNothing, c.since(from))
		case repeated != "":
			return nil, failed(errRepeated, c.since(repeated))
		default:
			last, repeated = repeat(last, least, most), from
		}
		if len(all)+len(last) > maxCode {
			return nil, failed(ErrTooLong, c.expr)
		}
	}
	return join(all, last), nil
}

// repetition parses *, +, ? or {N,M}, and the ? that can follow them: it only changes
// which of several matches is preferred. most is -1 if there is no limit.
func (c *compiler) repetition() (least, most int, ok bool) {
	switch {
	case c.take("*"):
		most = -1
	case c.take("+"):
		least, most = 1, -1
	case c.take("?"):
		most = 1
	default:
		if least, most, ok = c.count(); !ok {
			return 0, 0, false
		}
	}
	c.take("?")
	return least, most, true
}

// count parses {N}, {N,} or {N,M}. Any other { is a character.
func (c *compiler) count() (least, most int, ok bool) {
	inside, after, ok := strings.Cut(strings.TrimPrefix(c.rest, "{"), "}")
	if !ok || c.rest[0] != '{' {
		return 0, 0, false
	}
	first, second, comma := strings.Cut(inside, ",")
	least, ok = number(first)
	most = least
	switch {
	case !ok:
		return 0, 0, false
	case comma && second == "":
		most = -1
	case comma:
		if most, ok = number(second); !ok {
			return 0, 0, false
		}
	}
	c.rest = after
	return least, most, true
}

// number parses digits. A number that is too large becomes a smaller one that is too
// large as well.
func number(s string) (n int, ok bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		n = maxRepeat + 1
	}
	return n, true
}

// repeat returns code that runs one at least so often and at most so often. It stops
// when the code is too long.
func repeat(one code, least, most int) (all code) {
	for n := 0; n < least && len(all) <= maxCode; n++ {
		all = append(all, one...)
	}
	switch {
	case most < 0 && least > 0: // from the end of the last one back to its beginning
		return append(all, forkTo(-len(one), 1))
	case most < 0:
		back := instruction{op: jump, to: [2]int16{int16(-len(one) - 1)}}
		return join(code{forkTo(1, len(one)+2)}, one, code{back})
	}
	for n := least; n < most && len(all) <= maxCode; n++ {
		all = append(append(all, forkTo(1, len(one)+1)), one...)
	}
	return all
}

func forkTo(a, b int) instruction {
	return instruction{op: fork, to: [2]int16{int16(a), int16(b)}}
}

func join(pieces ...code) (all code) {
	for _, p := range pieces {
		all = append(all, p...)
	}
	return all
}

// single parses a character, a class, a group or a condition. Only (?i) cannot be
// repeated.
func (c *compiler) single(depth int) (one code, repeatable bool, err error) {
	i := instruction{fold: c.fold}
	switch {
	case c.take("("):
		return c.group(depth)
	case c.take("["):
		i.op = oneOf
		i.class, err = c.class()
	case c.take("."):
		i.op = anything
	case c.take("^"), c.take(`\A`):
		i.op = begin
	case c.take("$"), c.take(`\z`):
		i.op = end
	case c.take(`\b`):
		i.op = boundary
	case c.take(`\B`):
		i.op = inside
	default:
		if g, ok := c.letterClass(); ok {
			i.op, i.class = oneOf, &class{groups: []group{g}}
			break
		}
		i.char, err = c.char()
	}
	return code{i}, true, err
}

// group parses what follows a parenthesis.
func (c *compiler) group(depth int) (one code, repeatable bool, err error) {
	fold := c.fold
	switch {
	case c.take("?i)"):
		c.fold = true
		return nil, false, nil
	case c.take("?i:"):
		c.fold = true
	case c.take("?:"):
	case c.take("?"):
		return nil, false, failed(ErrUnsupported, "(?")
	}
	one, err = c.alternatives(depth + 1)
	c.fold = fold
	if err == nil && !c.take(")") {
		err = failed(errOpen, c.expr)
	}
	return one, true, err
}

// class parses what follows a bracket.
func (c *compiler) class() (*class, error) {
	whole := c.expr[len(c.expr)-len(c.rest)-1:] // from the bracket
	set := &class{negated: c.take("^")}
	for first := true; first || !strings.HasPrefix(c.rest, "]"); first = false {
		if c.rest == "" {
			return nil, failed(errOpenClass, whole)
		}
		if strings.HasPrefix(c.rest, "[:") && strings.Contains(c.rest[2:], ":]") {
			return nil, failed(ErrUnsupported, "[:")
		}
		if g, ok := c.letterClass(); ok {
			set.groups = append(set.groups, g)
			continue
		}
		begin := c.rest
		from, err := c.char()
		if err != nil {
			return nil, err
		}
		to := from
		if len(c.rest) >= 2 && c.rest[0] == '-' && c.rest[1] != ']' {
			c.take("-")
			if to, err = c.char(); err != nil {
				return nil, err
			}
		}
		if to < from {
			return nil, failed(errRange, c.since(begin))
		}
		set.groups = append(set.groups, group{ranges: string([]rune{from, to})})
	}
	c.take("]")
	return set, nil
}

// letterClass parses \d, \s, \w, or the same in upper case, which is the opposite.
func (c *compiler) letterClass() (g group, ok bool) {
	if len(c.rest) < 2 || c.rest[0] != '\\' {
		return g, false
	}
	switch c.rest[1] {
	case 'd', 'D':
		g.ranges = "09"
	case 's', 'S':
		g.ranges = "\t\n\f\r  "
	case 'w', 'W':
		g.ranges = "09AZ__az"
	default:
		return g, false
	}
	g.negated = c.rest[1] < 'a'
	c.rest = c.rest[2:]
	return g, true
}

// char parses one character, which may be written with a backslash.
func (c *compiler) char() (rune, error) {
	if !c.take(`\`) {
		return c.next(), nil
	}
	if c.rest == "" {
		return 0, failed(errBackslash, "")
	}
	r := c.next()
	if i := strings.IndexRune("afnrtv", r); i >= 0 {
		return rune("\a\f\n\r\t\v"[i]), nil
	}
	if r >= utf8.RuneSelf || isWord(r) && r != '_' {
		return 0, failed(ErrUnsupported, `\`+string(r))
	}
	return r, nil
}
