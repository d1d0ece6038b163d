package core

import (
	"cmp"
	"debug/elf"
	"fmt"
	"io"
	"slices"
)

// region is a range of the program's memory whose bytes are in a file.
type region struct {
	start, end uint64
	from       io.ReaderAt
	offset     int64
}

// Range is a range of addresses.
type Range struct{ Start, End uint64 }

// Ranges returns the memory that can be read, sorted and without overlaps.
func (c *Core) Ranges() []Range {
	list := make([]Range, len(c.regions))
	for i, r := range c.regions {
		list[i] = Range{r.start, r.end}
	}
	return list
}

// Read fills b with the memory at addr. The error wraps ErrNotThere if the core does
// not contain all of it.
func (c *Core) Read(addr uint64, b []byte) error {
	for at := c.search(addr); len(b) > 0; at++ {
		if at == len(c.regions) || addr < c.regions[at].start {
			return fmt.Errorf("%#x: %w", addr, ErrNotThere)
		}
		r := c.regions[at]
		n := min(uint64(len(b)), r.end-addr)
		if _, err := io.ReadFull(io.NewSectionReader(r.from, r.offset+int64(addr-r.start), int64(n)), b[:n]); err != nil {
			return fmt.Errorf("%#x: %w: %w", addr, ErrNotThere, err)
		}
		addr, b = addr+n, b[n:]
	}
	return nil
}

// search returns the index of the first region that ends behind addr.
func (c *Core) search(addr uint64) int {
	at, _ := slices.BinarySearchFunc(c.regions, addr, func(r region, addr uint64) int {
		if r.end <= addr {
			return -1
		}
		return 1
	})
	return at
}

// regionOf returns the region that contains addr.
func (c *Core) regionOf(addr uint64) (region, bool) {
	at := c.search(addr)
	if at == len(c.regions) || addr < c.regions[at].start {
		return region{}, false
	}
	return c.regions[at], true
}

// addSegments makes the regions of the core's own segments. Memory that the core
// leaves out is not taken for zeros: the kernel leaves out file mappings, and what
// coredump_filter says.
func (c *Core) addSegments(segments []segment) {
	var list []region
	var cut, whole uint64
	for _, s := range segments {
		if s.kind != elf.PT_LOAD || s.size == 0 {
			continue
		}
		n := min(s.size, s.sizeInMemory)
		there := uint64(0)
		if s.offset < uint64(c.size) {
			there = min(n, uint64(c.size)-s.offset)
		}
		whole += n
		cut += n - there
		if there > 0 && s.addr+there > s.addr {
			list = append(list, region{s.addr, s.addr + there, c.file, int64(s.offset)})
		}
	}
	if cut > 0 {
		c.remark("The core is truncated: %d of %d bytes of memory are missing.", cut, whole)
	}
	c.regions = merge(nil, list)
}

// merge adds regions to those that are there, which win where both have an address.
func merge(have, more []region) []region {
	var all []region
	slices.SortStableFunc(more, func(a, b region) int { return cmp.Compare(a.start, b.start) })
	at := 0
	end := uint64(0) // of what is in all
	for _, m := range more {
		m.skip(end)
		for m.start < m.end {
			for at < len(have) && have[at].end <= m.start {
				all = append(all, have[at])
				end = have[at].end
				at++
			}
			piece := m
			if at < len(have) {
				piece.end = min(piece.end, have[at].start)
			}
			if piece.start < piece.end {
				all = append(all, piece)
				end = piece.end
			}
			if at == len(have) || piece.end == m.end {
				break
			}
			m.skip(have[at].end)
		}
	}
	return append(all, have[at:]...)
}

// skip moves the start of a region to addr if it is before.
func (r *region) skip(addr uint64) {
	if r.start >= addr {
		return
	}
	n := min(addr, r.end) - r.start
	r.start += n
	r.offset += int64(n)
}
