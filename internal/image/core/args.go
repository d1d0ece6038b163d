package core

import (
	"bytes"
	"encoding/binary"
)

// Bounds of the command line.
const (
	maxArgs     = 1 << 12
	maxArgsSize = 128 << 10
)

// findArgs reads the whole command line from the stack of the first thread. The
// kernel lays out there: argc, argv, a zero, the environment, a zero, and the
// auxiliary vector, of which the core has a copy in a note. If it is not found, the 79
// characters of the process's information remain.
func (c *Core) findArgs() {
	at, ok := c.findAuxv()
	if !ok {
		return
	}
	// Before the vector, from its begin downwards: a zero, pointers to the environment,
	// a zero, pointers to the arguments, argc.
	words := c.wordsBefore(at, 1<<16)
	n := len(words)
	skip := func() { // a list of pointers, which ends with a zero
		for n > 0 && words[n-1] != 0 {
			n--
		}
	}
	if n == 0 || words[n-1] != 0 {
		return
	}
	n--
	skip()
	if n == 0 {
		return
	}
	n-- // the zero behind argv
	var pointers []uint64
	for argc := 0; argc < maxArgs && n > 0; argc++ {
		if words[n-1] == uint64(argc) {
			c.readArgs(pointers)
			return
		}
		n--
		pointers = append(pointers, words[n])
	}
}

// readArgs reads the arguments, of which pointers has the last one first.
func (c *Core) readArgs(pointers []uint64) {
	var args []string
	budget := maxArgsSize
	for i := len(pointers) - 1; i >= 0; i-- {
		s, ok := c.readString(pointers[i], budget)
		if !ok {
			break
		}
		budget -= len(s)
		args = append(args, s)
	}
	if len(args) > 0 {
		c.Args, c.ArgsCut = args, len(args) < len(pointers)
	}
}

// findAuxv returns the address of the auxiliary vector. It is in the same mapping as
// the name of the program, to which it points itself, and below it.
func (c *Core) findAuxv() (uint64, bool) {
	name := c.auxv[atExecFn]
	const most = 4 << 20 // a quarter of the stack limit may be used for arguments
	if name == 0 || len(c.rawAuxv) < 32 {
		return 0, false
	}
	r, ok := c.regionOf(name)
	if !ok {
		return 0, false
	}
	b := make([]byte, min(name-r.start, most))
	start := name - uint64(len(b))
	if c.Read(start, b) != nil {
		return 0, false
	}
	at := bytes.LastIndex(b, c.rawAuxv)
	return start + uint64(max(at, 0)), at >= 0
}

// wordsBefore returns up to n words of memory before addr, in the same region.
func (c *Core) wordsBefore(addr uint64, n uint64) []uint64 {
	r, ok := c.regionOf(addr - 1)
	if !ok {
		return nil
	}
	words := make([]uint64, min(n, (addr-r.start)/8))
	b := make([]byte, 8*len(words))
	if c.Read(addr-uint64(len(b)), b) != nil {
		return nil
	}
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return words
}

// readString reads a string that ends with a zero, of less than most bytes, in one
// region.
func (c *Core) readString(addr uint64, most int) (string, bool) {
	r, ok := c.regionOf(addr)
	if !ok {
		return "", false
	}
	var s []byte
	for most > 0 && addr < r.end {
		chunk := make([]byte, min(256, uint64(most), r.end-addr))
		if c.Read(addr, chunk) != nil {
			return "", false
		}
		if end := bytes.IndexByte(chunk, 0); end >= 0 {
			return string(append(s, chunk[:end]...)), true
		}
		s = append(s, chunk...)
		addr += uint64(len(chunk))
		most -= len(chunk)
	}
	return "", false
}
