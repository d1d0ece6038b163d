package image

// records are structs of the same kind that are read together.
type records struct {
	program *Program
	list    []record // nil: it cannot be read
	size    uint64
	room    []byte
	pieces  []Piece
	first   []int // the first struct of each piece
}

// recordGap is how many bytes between two structs are read with them. The allocator
// rounds up the size of a struct, so that structs in a row are read as one piece.
const recordGap = 128

func newRecords(p *Program) records {
	size := uint64(p.Layout.G.Size)
	return records{program: p, size: size, list: make([]record, together), room: make([]byte, together*(size+recordGap))}
}

// read reads the structs at some addresses.
func (r *records) read(addrs []uint64) {
	r.pieces, r.first = r.pieces[:0], r.first[:0]
	room, end := r.room, uint64(0) // end is that of the last piece
	for i, addr := range addrs {
		gap := addr - end
		if i == 0 || addr < end || gap > recordGap {
			r.pieces, r.first = append(r.pieces, Piece{Addr: addr, Bytes: room[:0]}), append(r.first, i)
			gap = 0
		}
		last := &r.pieces[len(r.pieces)-1]
		n := len(last.Bytes) + int(gap)
		last.Bytes = last.Bytes[:n+int(r.size)]
		r.list[i] = last.Bytes[n:]
		room = room[gap+r.size:]
		end = addr + r.size
	}
	r.program.readPieces(r.pieces)
	for i, piece := range r.pieces {
		if piece.Err == nil {
			continue
		}
		next := len(addrs)
		if i+1 < len(r.first) {
			next = r.first[i+1]
		}
		for j := r.first[i]; j < next; j++ {
			if r.program.memory.Read(addrs[j], r.list[j]) != nil {
				r.list[j] = nil
			}
		}
	}
}

// readPieces reads pieces of the memory, at once if the memory can do that.
func (p *Program) readPieces(pieces []Piece) {
	if b, ok := p.memory.(Batch); ok {
		b.ReadPieces(pieces)
		return
	}
	for i := range pieces {
		pieces[i].Err = p.memory.Read(pieces[i].Addr, pieces[i].Bytes)
	}
}
