package stack

import (
	"bytes"
	"runtime"
	"strconv"
	"time"
	"unsafe"
)

// Trace is the text of runtime.Stack for all goroutines. It stands outside the
// heap: a large one neither hastens the collector nor stays behind as garbage.
type Trace struct {
	Text []byte
	Cut  bool // there was more than the room
	room []byte
}

// TakeTrace stops the program once and writes all stacks into room bytes, of
// which only those are touched that are needed. The trace must be released.
func TakeTrace(room int) (*Trace, error) {
	buf, err := allocate(room)
	if err != nil {
		return nil, err
	}
	n := runtime.Stack(buf, true)
	return &Trace{Text: buf[:n], Cut: n == len(buf), room: buf}, nil
}

// Release gives the memory back. The text must not be used any more.
func (t *Trace) Release() {
	free(t.room)
	t.Text, t.room = nil, nil
}

// Cost is what a trace of the goroutines in a snapshot will take.
type Cost struct {
	Bytes int64         // of text
	Stop  time.Duration // for which the program is stopped
}

// Estimate says beforehand what a trace will cost. The time is spent on
// formatting and grows with the text (runtime.Stack prints with everything
// stopped), so the speed is measured on the stack of the caller, which stops
// nobody.
//
// stacks is the memory of all stacks, in bytes: the runtime walks a stack to its
// end even where it prints a hundred frames, 60 ns for each of about 100 bytes
// here.
func (s *Snapshot) Estimate(stacks uint64) Cost {
	var c Cost
	for _, g := range s.Groups {
		size := traceHeader
		for _, f := range g.Frames {
			size += len(f.Function) + len(f.File) + traceFrame
		}
		c.Bytes += int64(g.Count) * int64(size)
	}
	buf := make([]byte, 64<<10)
	var text int
	began := time.Now()
	for range 20 {
		text += runtime.Stack(buf, false)
	}
	perByte := float64(time.Since(began)) / float64(max(text, 1))
	c.Stop = time.Duration(perByte*float64(c.Bytes)) + time.Duration(stacks)*60/100
	return c
}

// What a trace has around the names: "goroutine 12 [chan receive]:" with the
// line of its creator, and for each frame the arguments, line number and offset.
const (
	traceHeader = 180
	traceFrame  = 60
)

// Group groups the goroutines of a trace.
func (t *Trace) Group(own Own) *Snapshot {
	p := traceParser{own: own, index: make(map[uint64]int)}
	for text := t.Text; len(text) > 0; {
		var record []byte
		record, text, _ = bytes.Cut(text, []byte("\n\n"))
		p.record(record)
	}
	s := newSnapshot(p.groups, p.left)
	s.Traced, s.Cut = true, t.Cut
	return s
}

// Goroutine is the text of one goroutine, nil if it is not there.
func (t *Trace) Goroutine(id uint64) []byte {
	head := strconv.AppendUint([]byte("goroutine "), id, 10)
	head = append(head, ' ')
	at := 0
	if !bytes.HasPrefix(t.Text, head) {
		if at = bytes.Index(t.Text, append([]byte("\n\n"), head...)); at < 0 {
			return nil
		}
		at += 2
	}
	text, _, _ := bytes.Cut(t.Text[at:], []byte("\n\n"))
	return bytes.TrimRight(text, "\n")
}

// traceParser makes groups of the records of a trace. Only the first of a group
// is turned into strings.
type traceParser struct {
	own    Own
	groups []Group
	left   int            // goroutines that are left out
	index  map[uint64]int // by the hash of the state and the lines without arguments
}

// record parses one goroutine:
//
//	goroutine 18 [chan receive, 2 minutes, locked to thread]:
//	main.(*T).work(0xc000012345, {0x1, 0x2})
//		/src/main.go:42 +0x1d
//	created by main.start in goroutine 1
//		/src/main.go:30 +0x2c
func (p *traceParser) record(text []byte) {
	head, body, _ := bytes.Cut(text, []byte{'\n'})
	state, member, labels, ok := parseHeader(head)
	if !ok {
		return
	}
	key, own := hashString(fnvOffset, state), false
	eachFrame(body, func(function, file []byte, line int, creator bool) {
		own = own || !creator && p.own(unsafe.String(unsafe.SliceData(function), len(function)))
		key = hashString(key, function)
		key = hashString(key, file)
		key = (key ^ uint64(line)) * fnvPrime
	})
	if own {
		p.left++
		return
	}
	i, known := p.index[key]
	if !known {
		g := Group{State: string(state)}
		eachFrame(body, func(function, file []byte, line int, creator bool) {
			f := Frame{string(function), string(file), line}
			if creator {
				g.Creator = f
			} else {
				g.Frames = append(g.Frames, f)
			}
		})
		g.Frames = trim(g.Frames)
		i = len(p.groups)
		p.index[key] = i
		p.groups = append(p.groups, g)
	}
	g := &p.groups[i]
	if at := bytes.LastIndex(body, []byte(" in goroutine ")); at >= 0 {
		digits, _, _ := bytes.Cut(body[at+len(" in goroutine "):], []byte{'\n'})
		member.Parent, _ = strconv.ParseUint(string(digits), 10, 64)
	}
	g.Count++
	g.Members = append(g.Members, member)
	if labels != "" {
		g.addLabels(func() string { return labels }, 1)
	}
}

// parseHeader parses "goroutine 18 [chan receive, 2 minutes, locked to thread]:",
// as goroutineheader in the runtime's traceback.go writes it.
func parseHeader(head []byte) (state []byte, member Goroutine, labels string, ok bool) {
	rest, ok := bytes.CutPrefix(head, []byte("goroutine "))
	if !ok {
		return nil, member, "", false
	}
	id, rest, _ := bytes.Cut(rest, []byte{' '})
	n, err := strconv.ParseUint(string(id), 10, 64)
	_, rest, open := bytes.Cut(rest, []byte{'['})
	rest, closed := bytes.CutSuffix(rest, []byte("]:"))
	if err != nil || !open || !closed {
		return nil, member, "", false
	}
	member.ID = n
	rest, values, _ := bytes.Cut(rest, []byte(" labels:")) // with GODEBUG=tracebacklabels=1
	labels = string(values)
	state, attributes, _ := bytes.Cut(rest, []byte(", "))
	for len(attributes) > 0 {
		var a []byte
		a, attributes, _ = bytes.Cut(attributes, []byte(", "))
		if minutes, ok := bytes.CutSuffix(a, []byte(" minutes")); ok {
			member.Minutes, _ = strconv.Atoi(string(minutes))
		}
		if string(a) == "locked to thread" {
			member.Locked = true
		}
	}
	return state, member, labels, true
}

// eachFrame calls f for each frame of a goroutine, and for its creator.
func eachFrame(body []byte, f func(function, file []byte, line int, creator bool)) {
	for len(body) > 0 {
		var call, at []byte
		call, body, _ = bytes.Cut(body, []byte{'\n'})
		if len(call) == 0 {
			continue
		}
		if !bytes.HasPrefix(body, []byte{'\t'}) { // "...23 frames elided..."
			f(call, nil, 0, false)
			continue
		}
		at, body, _ = bytes.Cut(body[1:], []byte{'\n'})
		creator := false
		if call, creator = bytes.CutPrefix(call, []byte("created by ")); creator {
			call, _, _ = bytes.Cut(call, []byte(" in goroutine "))
		} else if paren := bytes.LastIndexByte(call, '('); paren > 0 {
			call = call[:paren]
		}
		if offset := bytes.LastIndex(at, []byte(" +0x")); offset >= 0 {
			at = at[:offset]
		}
		line := 0
		if colon := bytes.LastIndexByte(at, ':'); colon >= 0 {
			line, _ = strconv.Atoi(string(at[colon+1:]))
			at = at[:colon]
		}
		f(call, at, line, creator)
	}
}
