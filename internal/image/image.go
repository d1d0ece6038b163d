// Package image reads the goroutines of a Go program from its memory: from a core
// file, or from any other memory that can be read.
//
// The memory is data from an enemy: every length in it has a bound, every pointer is
// checked by the memory, and every walk ends.
//
// The package knows nothing about processes, and nothing is ever written.
package image

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/gomanhole/oneshot/internal/exefile"
	"github.com/gomanhole/oneshot/internal/image/layout"
)

// Memory is the memory of a program.
type Memory interface {
	// Read fills b with the memory at addr, or returns an error.
	Read(addr uint64, b []byte) error
}

// Batch is a Memory that reads many pieces at once faster than one by one.
type Batch interface {
	Memory
	// ReadPieces fills the pieces, and sets the error of each.
	ReadPieces(pieces []Piece)
}

// Piece is a piece of memory.
type Piece struct {
	Addr  uint64
	Bytes []byte // filled by ReadPieces
	Err   error  // nil if all of Bytes was read
}

// Registers are those of a thread, for the stack of the goroutine that it runs.
type Registers struct {
	TID            int
	PC, SP, BP, LR uint64
}

// Program is a Go program whose memory can be read.
type Program struct {
	Build  *debug.BuildInfo // of the executable
	Layout *layout.Layout

	// Now is the program's clock (nanotime of its runtime, which is CLOCK_MONOTONIC), for
	// the minutes that goroutines have waited. 0: not known.
	Now int64

	memory   Memory
	arch     string
	bias     uint64
	elf      *elf.File
	symbols  *symbols
	module   moduledata
	threads  []Registers
	sites    map[siteKey]*site
	recent   [1 << 10]recentSite
	starts   map[uint64]*start  // by the address of the function
	creators map[uint64]creator // by the return address of the go statement
	allgs    uint64             // the address of runtime.allgs; 0 until it is found
	held     int                // bytes in sites, starts and creators
	work     int64              // what may still be done, see spend
	piece    []byte             // of a stack; reused
}

// maxWork bounds the time that a hostile memory can take, in steps in the tables. A
// frame counts as frameWork steps, a goroutine as goroutineWork. It is enough for a million goroutines with stacks of
// 150 frames.
const (
	maxWork       = 8 << 30
	frameWork     = 50
	goroutineWork = 500
)

// spend reports whether there is still work to be done for the program.
func (p *Program) spend(n int64) bool {
	p.work -= n
	return p.work > 0
}

// Open prepares the reading of a program. executable is its file, bias the difference
// between its addresses in memory and in the file. threads has the registers of its
// threads, if they are known.
func Open(memory Memory, executable *elf.File, file io.ReaderAt, bias uint64, threads []Registers) (p *Program, err error) {
	defer func() { // debug/elf is not made for hostile files
		if v := recover(); v != nil {
			p, err = nil, fmt.Errorf("the executable is damaged: %v", v)
		}
	}()
	p = &Program{memory: memory, elf: executable, bias: bias, threads: threads, work: maxWork, piece: make([]byte, stackPiece),
		sites: map[siteKey]*site{}, starts: map[uint64]*start{}, creators: map[uint64]creator{}}
	if p.Build, err = exefile.BuildInfo(file); err != nil {
		return nil, err
	}
	p.arch = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[executable.Machine]
	if p.arch == "" {
		return nil, fmt.Errorf("it is a program for %v; only programs for amd64 and arm64 can be read", executable.Machine)
	}
	if p.Layout, err = p.layout(); err != nil {
		return nil, err
	}
	if p.module, err = p.findModule(); err != nil {
		return nil, err
	}
	if p.symbols, err = p.readSymbols(); err != nil {
		return nil, err
	}
	return p, nil
}

// errNoGoroutines is the error for a program whose list of goroutines is not found.
var errNoGoroutines = errors.New("the list of goroutines was not found in the program's memory")

// word reads one word.
func (p *Program) word(addr uint64) (uint64, error) {
	var b [8]byte
	err := p.memory.Read(addr, b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

// block reads n bytes. The caller has checked n.
func (p *Program) block(addr, n uint64) ([]byte, error) {
	b := make([]byte, n)
	return b, p.memory.Read(addr, b)
}

// record is the memory of one struct of the runtime.
type record []byte

func (r record) word(at layout.Offset) uint64 {
	if at < 0 || int(at)+8 > len(r) {
		return 0
	}
	return binary.LittleEndian.Uint64(r[at:])
}

func (r record) half(at layout.Offset) uint32 {
	if at < 0 || int(at)+4 > len(r) {
		return 0
	}
	return binary.LittleEndian.Uint32(r[at:])
}

func (r record) byte(at layout.Offset) uint8 {
	if at < 0 || int(at) >= len(r) {
		return 0
	}
	return r[at]
}

func (p *Program) record(addr uint64, size layout.Offset) (record, error) {
	if addr == 0 || size <= 0 {
		return nil, fmt.Errorf("no struct at %#x", addr)
	}
	b, err := p.block(addr, uint64(size))
	return b, err
}
