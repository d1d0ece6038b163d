package image

import (
	"cmp"
	"slices"
)

const (
	stackRoom = 1 << 20  // for the stacks that are read together
	longStack = 32 << 10 // a longer one is read alone, piece by piece
	pageSize  = 4 << 10  // the smallest one
)

// stacks are the stacks of goroutines that are read together.
type stacks struct {
	program *Program
	places  [together]place  // where the goroutines are parked
	list    [together][]byte // nil: not read
	room    []byte
	pieces  []Piece
	parts   []part
}

// part is a stack in a piece.
type part struct {
	goroutine, piece int
	addr, size       uint64
}

// read reads the stacks of the first goroutines, as many as there is room for. It
// returns how many.
func (s *stacks) read(goroutines []record) (n int) {
	s.parts = s.parts[:0]
	needed := uint64(0)
	for _, g := range goroutines {
		s.list[n] = nil
		if at, size, ok := s.program.small(g); ok {
			if needed+size > stackRoom {
				break
			}
			needed += size
			s.places[n] = at
			s.parts = append(s.parts, part{goroutine: n, addr: at.sp, size: size})
		}
		n++
	}
	// The runtime allocates stacks in a row. One large piece is read faster than many
	// small ones.
	slices.SortFunc(s.parts, func(a, b part) int { return cmp.Compare(a.addr, b.addr) })
	s.place(needed)
	s.program.readPieces(s.pieces)
	for i := range s.parts {
		part := &s.parts[i]
		if piece := &s.pieces[part.piece]; piece.Err == nil {
			at := part.addr - piece.Addr
			s.list[part.goroutine] = piece.Bytes[at : at+part.size]
		}
	}
	return n
}

// place makes the pieces that contain the parts, which need at least so many bytes. It
// includes no page without a part: the kernel would have to make the page first, if
// the program has not used it yet.
func (s *stacks) place(needed uint64) {
	s.pieces = s.pieces[:0]
	room, end := s.room, uint64(0) // end is that of the last piece
	for i := range s.parts {
		part := &s.parts[i]
		gap := part.addr - end
		if i == 0 || part.addr < end || part.addr/pageSize-(end-1)/pageSize > 1 || needed+gap > uint64(len(room)) {
			s.pieces = append(s.pieces, Piece{Addr: part.addr, Bytes: room[:0]})
			gap = 0
		}
		part.piece = len(s.pieces) - 1
		last := &s.pieces[part.piece]
		last.Bytes = last.Bytes[:uint64(len(last.Bytes))+gap+part.size]
		room = room[gap+part.size:]
		needed -= part.size
		end = part.addr + part.size
	}
}

// small returns where a goroutine is parked, and how much of its stack is in use, if it
// is little enough to be read together with others.
func (p *Program) small(g record) (at place, size uint64, ok bool) {
	if g == nil || p.dead(g) {
		return at, 0, false
	}
	lo, hi := g.word(p.Layout.G.StackLo), g.word(p.Layout.G.StackHi)
	at, ok = p.parked(g)
	return at, hi - at.sp, ok && at.sp >= lo && at.sp < hi && hi-lo <= maxStack && hi-at.sp <= longStack
}
