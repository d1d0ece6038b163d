// Package pattern matches text against regular expressions. It understands the
// operators of package regexp that people use in a search, and gives them the same
// meaning. Package regexp itself, with its tables of Unicode, adds about ten times as
// much to a program. The time of a match is bounded by the length of the text times the
// length of the expression.
package pattern

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pattern is a compiled regular expression. It may be used by several goroutines.
type Pattern struct {
	expr    string
	code    code
	prefix  string // every match begins with it
	literal bool   // prefix is the whole expression
}

// String returns the text of the expression.
func (p *Pattern) String() string { return p.expr }

// code is the program of an expression: it reads one character after the other. The
// targets of its jumps are relative, so that pieces of code can be put together and
// repeated as they are.
type code []instruction

type instruction struct {
	op   op
	fold bool // character and class: upper and lower case are the same

	char  rune     // of the operation character
	class *class   // of the operation class
	to    [2]int16 // of the operations jump and fork: where to continue, from here
}

type op uint8

const (
	character op = iota // reads a character
	anything            // reads any character except a newline
	oneOf               // reads a character of a class
	jump                // continues elsewhere
	fork                // continues at two places
	begin               // continues at the beginning of the text
	end                 // continues at the end of the text
	boundary            // continues between a word and something else
	inside              // continues where there is no boundary
)

// class is a set of characters.
type class struct {
	groups  []group
	negated bool
}

// group is a part of a class: a range or \d, \s, \w and their opposites.
type group struct {
	ranges  string // pairs of characters: the first and the last of each range
	negated bool
}

// has reports whether the class contains a character, or with fold, the same
// character in another case.
func (c *class) has(r rune, fold bool) bool {
	for _, g := range c.groups {
		if g.has(r, fold) != g.negated {
			return !c.negated
		}
	}
	return c.negated
}

func (g *group) has(r rune, fold bool) bool {
	for other := r; ; {
		for at := 0; at < len(g.ranges); {
			first, n := utf8.DecodeRuneInString(g.ranges[at:])
			last, m := utf8.DecodeRuneInString(g.ranges[at+n:])
			if first <= other && other <= last {
				return true
			}
			at += n + m
		}
		if !fold {
			return false
		}
		if other = unicode.SimpleFold(other); other == r {
			return false
		}
	}
}

// reads reports whether an instruction reads this character.
func (i *instruction) reads(r rune) bool {
	switch i.op {
	case character:
		return i.char == r || i.fold && sameLetter(i.char, r)
	case anything:
		return r != '\n'
	case oneOf:
		return i.class.has(r, i.fold)
	}
	return false
}

// sameLetter reports whether two characters differ only in their case.
func sameLetter(a, b rune) bool {
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return false
}

// MatchString reports whether some part of the text matches the expression.
func (p *Pattern) MatchString(text string) bool {
	if p.literal {
		return strings.Contains(text, p.prefix)
	}
	m := matcher{code: p.code, seen: make([]int, len(p.code)+1)}
	var now, next []int16 // where the instructions that read begin
	before := rune(-1)    // the character before at
	for at := 0; ; {
		if len(next) == 0 && at > 0 && p.code[0].op == begin {
			return false
		}
		if len(next) == 0 && p.prefix != "" {
			skip := strings.Index(text[at:], p.prefix)
			if skip < 0 {
				return false
			}
			if skip > 0 {
				at += skip
				before, _ = utf8.DecodeLastRuneInString(text[:at])
			}
		}
		r, size := rune(-1), 0
		if at < len(text) {
			r, size = utf8.DecodeRuneInString(text[at:])
		}
		m.place, m.before, m.after, m.reading = at+1, before, r, now[:0]
		for _, pc := range next {
			m.follow(pc)
		}
		m.follow(0) // a match can begin at every character
		switch {
		case m.seen[len(p.code)] == m.place:
			return true
		case at == len(text):
			return false
		}
		now, next = m.reading, next[:0]
		for _, pc := range now {
			if p.code[pc].reads(r) {
				next = append(next, pc+1)
			}
		}
		at, before = at+size, r
	}
}

// matcher follows the code at one place of a text.
type matcher struct {
	code          code
	place         int   // identifies the place
	seen          []int // for each instruction, the last place where it was reached
	before, after rune  // the characters around the place, -1 if there is none
	reading       []int16
}

// follow continues with the instruction at pc, until it reaches one that reads. Each
// instruction is followed once at each place.
func (m *matcher) follow(pc int16) {
	for m.seen[pc] != m.place {
		m.seen[pc] = m.place
		if int(pc) == len(m.code) {
			return
		}
		i := &m.code[pc]
		holds := true
		switch i.op {
		case jump:
			pc += i.to[0]
			continue
		case fork:
			m.follow(pc + i.to[0])
			pc += i.to[1]
			continue
		case begin:
			holds = m.before < 0
		case end:
			holds = m.after < 0
		case boundary:
			holds = isWord(m.before) != isWord(m.after)
		case inside:
			holds = isWord(m.before) == isWord(m.after)
		default:
			m.reading = append(m.reading, pc)
			return
		}
		if !holds {
			return
		}
		pc++
	}
}

func isWord(r rune) bool {
	return r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
}
