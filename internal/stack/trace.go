package stack

import (
	"bytes"
	"runtime"
	"strconv"
	"time"
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
		if t.Cut && len(text) == 0 {
			break // the last record is incomplete; Snapshot.Cut says so
		}
		p.record(record)
	}
	s := newSnapshot(p.groups)
	s.Own, s.Unread, s.Unknown = p.left, p.unread, p.unknown
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
