package stack

import (
	"bytes"
	"runtime"
	"strconv"
	"time"
)

// Listing is the text that runtime.Stack prints for all goroutines. Its memory is
// outside the Go heap. A large listing therefore neither triggers a garbage
// collection nor leaves garbage behind.
type Listing struct {
	Text []byte
	Cut  bool // the text did not fit into the room and is incomplete
	room []byte
}

// TakeListing stops the program once and writes all stacks into a buffer of room
// bytes. Only the pages that the text needs are touched. The caller must call
// Release.
func TakeListing(room int) (*Listing, error) {
	buf, err := allocate(room)
	if err != nil {
		return nil, err
	}
	n := runtime.Stack(buf, true)
	return &Listing{Text: buf[:n], Cut: n == len(buf), room: buf}, nil
}

// Release frees the memory. The text must not be used afterwards.
func (l *Listing) Release() {
	free(l.room)
	l.Text, l.room = nil, nil
}

// Cost is the estimated cost of a listing.
type Cost struct {
	Bytes int64         // the size of the text
	Stop  time.Duration // how long the program is stopped
}

// Estimate returns what a listing of the goroutines in the snapshot will cost.
// runtime.Stack formats the text while the program is stopped, so the time grows
// with the size of the text. Estimate measures the speed on the stack of its
// caller, which does not stop the program.
//
// stacks is the memory of all stacks, in bytes. The runtime prints at most a
// hundred frames of a stack, but walks all of them. That takes about 60 ns for a
// frame of about 100 bytes.
func (s *Snapshot) Estimate(stacks uint64) Cost {
	var c Cost
	for _, g := range s.Groups {
		size := headerSize
		for _, f := range g.Frames {
			size += len(f.Function) + len(f.File) + frameSize
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

// The bytes in a listing beside the names of functions and files.
const (
	headerSize = 180 // for each goroutine: "goroutine 12 [chan receive]:" and the lines of its creator
	frameSize  = 60  // for each frame: the arguments, line number and offset
)

// Group groups the goroutines of the listing. It leaves out those that exclude
// matches.
func (l *Listing) Group(exclude Exclude) *Snapshot {
	p := listingParser{exclude: exclude, index: make(map[uint64]int)}
	for text := l.Text; len(text) > 0; {
		var record []byte
		record, text, _ = bytes.Cut(text, []byte("\n\n"))
		if l.Cut && len(text) == 0 {
			break // the last record is incomplete; Snapshot.Cut reports that
		}
		p.record(record)
	}
	s := newSnapshot(p.groups)
	s.Excluded, s.Unread, s.Unknown = p.excluded, p.unread, p.unknown
	s.HasMembers, s.Cut = true, l.Cut
	return s
}

// Goroutine returns the text of one goroutine, or nil if it is not in the listing.
func (l *Listing) Goroutine(id uint64) []byte {
	head := strconv.AppendUint([]byte("goroutine "), id, 10)
	head = append(head, ' ')
	at := 0
	if !bytes.HasPrefix(l.Text, head) {
		if at = bytes.Index(l.Text, append([]byte("\n\n"), head...)); at < 0 {
			return nil
		}
		at += 2
	}
	text, _, _ := bytes.Cut(l.Text[at:], []byte("\n\n"))
	return bytes.TrimRight(text, "\n")
}
