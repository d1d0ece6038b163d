package core

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
)

// debug/elf is not made for hostile files and reads more than is needed here, so the
// two tables of a core file are parsed by hand.

// maxSegments bounds the number of program headers. The kernel allows 65,530 mappings
// by default (vm.max_map_count).
const maxSegments = 1 << 18

const (
	headerSize  = 64 // of an ELF64 file
	programSize = 56 // of a program header
)

// header is what matters of an ELF header.
type header struct {
	arch  string
	phoff uint64
	phnum int
}

// segment is a program header.
type segment struct {
	kind               elf.ProgType
	flags              elf.ProgFlag
	offset, size       uint64 // in the file
	addr, sizeInMemory uint64
}

// compressed has the first bytes of the formats that core files are stored in, and
// the command that unpacks them.
var compressed = []struct{ magic, name, command string }{
	{"\x28\xb5\x2f\xfd", "zstd", "unzstd"},
	{"\x04\x22\x4d\x18", "lz4", "unlz4"},
	{"\xfd7zXZ", "xz", "unxz"},
	{"\x1f\x8b", "gzip", "gunzip"},
}

// readHeader checks that a file is a core and returns its header.
func readHeader(r io.ReaderAt, size int64) (header, error) {
	b := make([]byte, headerSize)
	n, err := r.ReadAt(b, 0)
	for _, c := range compressed {
		if n >= len(c.magic) && string(b[:len(c.magic)]) == c.magic {
			return header{}, fmt.Errorf("%w: it is compressed with %s; run %s first, or coredumpctl dump -o FILE PID", ErrNotCore, c.name, c.command)
		}
	}
	if n < headerSize {
		if err == nil || err == io.EOF {
			err = fmt.Errorf("it has only %d bytes", size)
		}
		return header{}, fmt.Errorf("%w: %w", ErrNotCore, err)
	}
	if string(b[:4]) != elf.ELFMAG {
		return header{}, fmt.Errorf("%w: it is not an ELF file", ErrNotCore)
	}
	if elf.Class(b[4]) != elf.ELFCLASS64 || elf.Data(b[5]) != elf.ELFDATA2LSB {
		return header{}, fmt.Errorf("%w: it is for another architecture", ErrNotCore)
	}
	if kind := elf.Type(binary.LittleEndian.Uint16(b[16:])); kind != elf.ET_CORE {
		return header{}, fmt.Errorf("%w: it is an ELF file of the type %v", ErrNotCore, kind)
	}
	h := header{phoff: binary.LittleEndian.Uint64(b[32:]), phnum: int(binary.LittleEndian.Uint16(b[56:]))}
	switch machine := elf.Machine(binary.LittleEndian.Uint16(b[18:])); machine {
	case elf.EM_X86_64:
		h.arch = "amd64"
	case elf.EM_AARCH64:
		h.arch = "arm64"
	default:
		return header{}, fmt.Errorf("%w: it is for %v", ErrNotCore, machine)
	}
	if entry := binary.LittleEndian.Uint16(b[54:]); entry != programSize {
		return header{}, fmt.Errorf("%w: its program headers have %d bytes each", ErrNotCore, entry)
	}
	return h, h.extended(r, binary.LittleEndian.Uint64(b[40:]))
}

// extended reads the number of program headers from the first section header if it
// does not fit into the ELF header (PN_XNUM in elf(5)).
func (h *header) extended(r io.ReaderAt, shoff uint64) error {
	const pnXNum = 0xffff
	if h.phnum != pnXNum {
		return nil
	}
	b := make([]byte, 64)
	if shoff > 1<<62 {
		return fmt.Errorf("%w: its section header is outside the file", ErrNotCore)
	}
	if _, err := r.ReadAt(b, int64(shoff)); err != nil {
		return fmt.Errorf("%w: its section header: %w", ErrNotCore, err)
	}
	h.phnum = int(binary.LittleEndian.Uint32(b[44:]))
	return nil
}

// segments returns the program headers that are in the file.
func (h *header) segments(r io.ReaderAt, size int64) ([]segment, error) {
	if h.phnum > maxSegments {
		return nil, fmt.Errorf("%w: it has %d segments, more than %d", ErrNotCore, h.phnum, maxSegments)
	}
	if h.phoff > uint64(size) {
		return nil, fmt.Errorf("%w: its program headers are outside the file", ErrNotCore)
	}
	n := min(h.phnum, int((uint64(size)-h.phoff)/programSize))
	b := make([]byte, n*programSize)
	if _, err := r.ReadAt(b, int64(h.phoff)); err != nil && err != io.EOF {
		return nil, err
	}
	list := make([]segment, 0, n)
	for ; len(b) > 0; b = b[programSize:] {
		list = append(list, segment{
			kind: elf.ProgType(binary.LittleEndian.Uint32(b)), flags: elf.ProgFlag(binary.LittleEndian.Uint32(b[4:])),
			offset: binary.LittleEndian.Uint64(b[8:]), size: binary.LittleEndian.Uint64(b[32:]),
			addr: binary.LittleEndian.Uint64(b[16:]), sizeInMemory: binary.LittleEndian.Uint64(b[40:]),
		})
	}
	return list, nil
}
