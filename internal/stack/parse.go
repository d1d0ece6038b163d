package stack

import (
	"bytes"
	"strconv"
	"strings"
	"unsafe"
)

// listingParser groups the records of a listing. To save memory, it converts only
// the first goroutine of a group to strings.
type listingParser struct {
	exclude  Exclude
	groups   []Group
	excluded int            // goroutines for which exclude returned true
	unread   int            // records in an unknown form
	unknown  string         // the beginning of the first such record
	index    map[uint64]int // maps the hash of the state and the calls, without arguments, to a group
}

// record parses one goroutine and returns the number of its group, or why it has none:
//
//	goroutine 18 [chan receive, 2 minutes, locked to thread]:
//	main.(*T).work(0xc000012345, {0x1, 0x2})
//		/src/main.go:42 +0x1d
//	created by main.start in goroutine 1
//		/src/main.go:30 +0x2c
func (p *listingParser) record(text []byte) (group int) {
	head, body, _ := bytes.Cut(text, []byte{'\n'})
	h, ok := parseHeader(head)
	if !ok {
		if len(bytes.TrimSpace(text)) > 0 {
			p.cannotRead(head)
		}
		return Unparsed
	}
	key, own := hashString(fnvOffset, h.state), false
	eachCall(body, func(c call) {
		if c.creator {
			h.member.Parent = c.parent
		} else if p.exclude(unsafe.String(unsafe.SliceData(c.function), len(c.function))) {
			own = true
		}
		key = hashString(key, c.function)
		key = hashString(key, c.file)
		key = (key ^ uint64(c.line)) * fnvPrime
	})
	if own {
		p.excluded++
		return Excluded
	}
	i, known := p.index[key]
	if !known {
		i = len(p.groups)
		p.index[key] = i
		p.groups = append(p.groups, newGroup(h.state, body))
	}
	p.add(i, h.member, h.labels)
	return i
}

// add adds a goroutine to a group.
func (p *listingParser) add(group int, m Goroutine, labels []byte) {
	g := &p.groups[group]
	g.Count++
	g.Members = append(g.Members, m)
	if len(labels) > 0 {
		g.addLabels(func() string { return canonicalLabels(string(labels)) }, 1)
	}
}

func newGroup(state, body []byte) Group {
	g := Group{State: string(state)}
	eachCall(body, func(c call) {
		f := Frame{string(c.function), string(c.file), c.line}
		if c.creator {
			g.Creator = f
		} else {
			g.Frames = append(g.Frames, f)
		}
	})
	g.Frames = trim(g.Frames)
	return g
}

// maxUnknown is the number of bytes that are kept of a record in an unknown form.
const maxUnknown = 100

func (p *listingParser) cannotRead(head []byte) {
	if p.unread++; p.unread == 1 {
		p.unknown = string(head[:min(len(head), maxUnknown)])
	}
}

// header is the first line of a record. Its slices point into the text.
type header struct {
	state  []byte // without marks
	member Goroutine
	labels []byte // in braces, as the runtime writes them; empty if there are no labels
}

// parseHeader parses the line that goroutineheader in the runtime's traceback.go
// prints:
//
//	goroutine 18 [chan receive, 2 minutes, locked to thread]:
//	goroutine 18 gp=0xc000002380 m=nil [chan send (leaked)]:          in a crash, GOTRACEBACK=system
//	goroutine 18 [select, 2 minutes labels:{"tenant": "acme"}]:       Go 1.26, GODEBUG=tracebacklabels=1
//	goroutine 18 [select, 2 minutes] {tenant: acme, "a b": "c]:"}:    Go 1.27
func parseHeader(head []byte) (h header, ok bool) {
	rest, ok := bytes.CutPrefix(head, []byte("goroutine "))
	if !ok {
		return h, false
	}
	id, rest, _ := bytes.Cut(rest, []byte{' '})
	n, err := strconv.ParseUint(string(id), 10, 64)
	_, rest, open := bytes.Cut(rest, []byte{'['})
	end := bytes.IndexByte(rest, ']')
	if err != nil || !open || end < 0 {
		return h, false
	}
	h.member.ID = n
	bracket, labels, suffix := rest[:end], rest[end+1:], ":"
	if at := bytes.Index(rest, []byte(" labels:{")); at >= 0 && at < end {
		bracket, labels, suffix = rest[:at], rest[at+len(" labels:"):], "]:"
	}
	if labels, ok = bytes.CutSuffix(labels, []byte(suffix)); !ok {
		return h, false
	}
	h.labels = bytes.TrimSpace(labels)
	state, attributes, _ := bytes.Cut(bracket, []byte(", "))
	h.state = h.member.cutMarks(state)
	for len(attributes) > 0 {
		var a []byte
		a, attributes, _ = bytes.Cut(attributes, []byte(", "))
		if minutes, ok := bytes.CutSuffix(a, []byte(" minutes")); ok {
			n, _ := strconv.ParseInt(string(minutes), 10, 32)
			h.member.Minutes = int32(n)
		}
		if string(a) == "locked to thread" {
			h.member.Locked = true
		}
	}
	return h, true
}

// cutMarks returns the state without the marks that the runtime appends to it:
// (leaked) for a leaked goroutine, (scan) while the garbage collector scans its
// stack, and (durable) for a goroutine that is durably blocked in the sense of
// testing/synctest.
func (g *Goroutine) cutMarks(state []byte) []byte {
	for {
		at := bytes.LastIndexByte(state, '(')
		if at < 1 {
			return state
		}
		switch string(state[at:]) {
		case "(leaked)":
			g.Leaked = true
		case "(scan)", "(durable)":
		default:
			return state
		}
		state = state[:at-1]
	}
}

// canonicalLabels returns the labels of a header in the form that a profile has.
// This is the form of runtime/pprof: {"tenant":"acme"}. Labels in an unknown form
// are returned unchanged.
func canonicalLabels(text string) string {
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return text
	}
	set := new(labelSet)
	for rest := text[1 : len(text)-1]; ; {
		l, after, ok := cutLabel(rest)
		if !ok {
			return text
		}
		if set.list = append(set.list, l); after == "" {
			return set.String()
		}
		if rest, ok = strings.CutPrefix(after, ", "); !ok {
			return text
		}
	}
}

// cutLabel cuts "key: value" from the front of s.
func cutLabel(s string) (l label, rest string, ok bool) {
	if l.key, rest, ok = cutText(s); !ok {
		return l, rest, false
	}
	if rest, ok = strings.CutPrefix(rest, ": "); !ok {
		return l, rest, false
	}
	l.value, rest, ok = cutText(rest)
	return l, rest, ok
}

// cutText cuts a key or a value from the front of s. It is either a Go string
// literal, or plain text without a character that needs quotes
// (tracebackStringNeedsQuoting in the runtime's traceback.go).
func cutText(s string) (text, rest string, ok bool) {
	if quoted, err := strconv.QuotedPrefix(s); err == nil {
		text, err = strconv.Unquote(quoted)
		return text, s[len(quoted):], err == nil
	}
	end := strings.IndexAny(s, ":,\" ")
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:], true
}

// call is one call on a stack, or the go statement that started the goroutine.
// Its slices point into the text.
type call struct {
	function, file []byte
	line           int
	creator        bool
	parent         uint64 // only for a creator: the goroutine that ran the go statement; 0 if not known
}

// eachCall calls f for each call of a goroutine, and for its creator. A line
// without a position below it, such as "...23 frames elided...", is passed as a
// call without a file.
func eachCall(body []byte, f func(call)) {
	for len(body) > 0 {
		var line []byte
		line, body, _ = bytes.Cut(body, []byte{'\n'})
		if bytes.HasPrefix(line, []byte("[originating from goroutine ")) {
			return // with GODEBUG=tracebackancestors=N, the calls of its ancestors follow
		}
		c := call{function: bytes.TrimSpace(line)}
		if len(c.function) == 0 {
			continue
		}
		if !bytes.HasPrefix(body, []byte{'\t'}) {
			f(c)
			continue
		}
		var at []byte
		at, body, _ = bytes.Cut(body[1:], []byte{'\n'})
		c.file, c.line = cutPosition(at)
		if c.function, c.creator = bytes.CutPrefix(c.function, []byte("created by ")); c.creator {
			var parent []byte
			c.function, parent, _ = bytes.Cut(c.function, []byte(" in goroutine "))
			c.parent, _ = strconv.ParseUint(string(parent), 10, 64)
		} else if paren := bytes.LastIndexByte(c.function, '('); paren > 0 {
			c.function = c.function[:paren]
		}
		f(c)
	}
}

// cutPosition parses "/src/main.go:42 +0x1d fp=0xc00009c7b8 sp=0xc00009c7a0 pc=0x47d24e".
// Everything after the line number may be missing.
func cutPosition(at []byte) (file []byte, line int) {
	for {
		space := bytes.LastIndexByte(at, ' ')
		if word := at[space+1:]; len(word) < 3 || string(word[:3]) != "+0x" && string(word[1:3]) != "p=" && string(word[:3]) != "pc=" {
			break
		}
		if space < 0 {
			return nil, 0 // a C function; only its address is known
		}
		at = at[:space]
	}
	if colon := bytes.LastIndexByte(at, ':'); colon >= 0 {
		line, _ = strconv.Atoi(string(at[colon+1:]))
		at = at[:colon]
	}
	return at, line
}
