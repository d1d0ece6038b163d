// Package exefile opens the executables of other programs. Such a file is data from an
// enemy, and debug/elf and debug/buildinfo are not made for that: a few kilobytes can
// make them use gigabytes. So the sizes of the tables are checked first, and no more
// than a few MiB are read.
//
// The package knows nothing about processes.
package exefile

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
)

// Bounds of what is read of a file. A large Go program has 40 sections, whose names
// take 500 bytes, and build information of 50 KB.
const (
	maxHeaders = 512      // sections or segments
	maxNames   = 32 << 10 // bytes of the names of all sections; each name may be as long
	maxRead    = 4 << 20  // bytes
)

var (
	// ErrBounds is the error for a file that is larger in some part than any real
	// program.
	ErrBounds = errors.New("the executable is damaged, or made to do harm")
	// ErrNotGo is the error for a file without build information of Go.
	ErrNotGo = errors.New("not a Go program, or one without build information")
)

// Open returns the headers of a file. Reads of its sections are not bounded.
func Open(r io.ReaderAt) (file *elf.File, err error) {
	defer recovered(&err)
	b := &bounded{r: r, pages: make(map[int64][]byte)}
	if err := check(b); err != nil {
		return nil, err
	}
	if file, err = elf.NewFile(b); err != nil {
		return nil, err
	}
	b.pages = nil // from here on the file is read as it is
	return file, nil
}

// BuildInfo reads the build information of a file.
func BuildInfo(r io.ReaderAt) (info *debug.BuildInfo, err error) {
	defer recovered(&err)
	b := &bounded{r: r, pages: make(map[int64][]byte)}
	if err := check(b); err != nil {
		return nil, err
	}
	if info, err = buildinfo.Read(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotGo, err)
	}
	return info, nil
}

func recovered(err *error) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%w: %v", ErrBounds, v)
	}
}

// check looks at the sizes of the tables in the ELF header (elf(5)), and at the size of
// the names of the sections: debug/elf makes a copy of a name for each section, and all
// sections can have the same long one.
func check(r io.ReaderAt) error {
	head := make([]byte, 64)
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return fmt.Errorf("not an ELF file: %w", err)
	}
	if string(head[:4]) != elf.ELFMAG {
		return errors.New("not an ELF file")
	}
	var order binary.ByteOrder = binary.LittleEndian
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	is64 := elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS64
	// The places of e_shoff and e_phnum, and that of sh_offset and sh_size in a section
	// header, which has a minimal size.
	sections, counts, size, headerSize := uint64(order.Uint32(head[32:])), head[44:], 16, 40
	if is64 {
		sections, counts, size, headerSize = order.Uint64(head[40:]), head[56:], 24, 64
	}
	programs, each, number, names := order.Uint16(counts), order.Uint16(counts[2:]), order.Uint16(counts[4:]), order.Uint16(counts[6:])
	switch {
	case programs > maxHeaders || number > maxHeaders:
		return fmt.Errorf("%w: it claims %d segments and %d sections", ErrBounds, programs, number)
	case sections == 0:
		return nil
	case number == 0 || names >= number || int(each) < headerSize || sections > 1<<62:
		return fmt.Errorf("%w: its header contradicts itself", ErrBounds)
	}
	header := make([]byte, headerSize)
	if _, err := r.ReadAt(header, int64(sections)+int64(each)*int64(names)); err != nil {
		return fmt.Errorf("%w: the names of its sections: %w", ErrBounds, err)
	}
	length := uint64(order.Uint32(header[size+4:]))
	if is64 {
		length = order.Uint64(header[size+8:])
	}
	if length > maxNames {
		return fmt.Errorf("%w: the names of its sections have %d bytes", ErrBounds, length)
	}
	return nil
}

const pageSize = 4 << 10

// bounded reads at most maxRead bytes of a file, each page once: so what has been
// checked does not change any more.
type bounded struct {
	r     io.ReaderAt
	pages map[int64][]byte // by number; nil when there is no bound any more
}

// ReadAt implements io.ReaderAt.
func (b *bounded) ReadAt(p []byte, off int64) (n int, err error) {
	if b.pages == nil {
		return b.r.ReadAt(p, off)
	}
	if off < 0 {
		return 0, errors.New("negative offset")
	}
	for n < len(p) {
		page, err := b.page((off + int64(n)) / pageSize)
		if err != nil {
			return n, err
		}
		at := int((off + int64(n)) % pageSize)
		if at >= len(page) {
			return n, io.EOF
		}
		n += copy(p[n:], page[at:])
	}
	return n, nil
}

func (b *bounded) page(number int64) ([]byte, error) {
	if page, ok := b.pages[number]; ok {
		return page, nil
	}
	if len(b.pages) >= maxRead/pageSize {
		return nil, fmt.Errorf("%w: more than %d MiB of it would have to be read", ErrBounds, maxRead>>20)
	}
	page := make([]byte, pageSize)
	n, err := b.r.ReadAt(page, number*pageSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	b.pages[number] = page[:n]
	return page[:n], nil
}
