package core

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// Bounds of what notes may claim.
const (
	maxNoteBytes = 1 << 30 // of all notes; a thread has about 4 KB, with AMX 12 KB
	maxThreads   = 1 << 17 // threads-max is below 130,000 on large machines
	maxFileNote  = 16 << 20
	maxFiles     = 1 << 16
	maxAuxv      = 1 << 10
	maxName      = 32 // of the owner of a note
)

// Kinds of notes (elf(5), linux/elf.h).
const (
	ntPRStatus = 1
	ntPRPSInfo = 3
	ntAuxv     = 6
	ntSigInfo  = 0x53494749
	ntFile     = 0x46494c45
)

// errNotes ends the reading of notes that make no sense.
var errNotes = errors.New("the notes are incomplete")

// readNotes reads all notes. Notes that are cut off are a remark, not an error.
func (c *Core) readNotes(segments []segment) error {
	budget := uint64(maxNoteBytes)
	for _, s := range segments {
		if s.kind != elf.PT_NOTE || s.offset > uint64(c.size) {
			continue
		}
		n := min(s.size, uint64(c.size)-s.offset, budget)
		budget -= n
		in := bufio.NewReaderSize(io.NewSectionReader(c.file, int64(s.offset), int64(n)), 64<<10)
		for {
			err := c.readNote(in)
			if err == nil {
				continue
			}
			if errors.Is(err, errNotes) || n < s.size {
				c.remark("The notes of the core are incomplete: threads or the signal may be missing.")
			} else if err != io.EOF {
				return err
			}
			break
		}
	}
	return nil
}

// readNote reads one note: the sizes of the name and the content, the kind, the name
// and the content, each padded to 4 bytes.
func (c *Core) readNote(in *bufio.Reader) error {
	var head [12]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return short(err, errNotes, io.EOF)
	}
	nameSize, size := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	kind := binary.LittleEndian.Uint32(head[8:])
	if nameSize > maxName {
		return errNotes
	}
	name := make([]byte, (nameSize+3)&^3)
	if _, err := io.ReadFull(in, name); err != nil {
		return short(err, errNotes, errNotes)
	}
	padded := (int64(size) + 3) &^ 3
	if string(bytes.TrimRight(name, "\x00")) != "CORE" || int64(size) > wanted(kind) {
		if _, err := io.CopyN(io.Discard, in, padded); err != nil {
			return short(err, errNotes, errNotes)
		}
		return nil
	}
	content := make([]byte, padded)
	if _, err := io.ReadFull(in, content); err != nil {
		return short(err, errNotes, errNotes)
	}
	c.note(kind, content[:size])
	return nil
}

// short replaces the errors for an end in the middle, and before the first byte.
func short(err, middle, begin error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return middle
	case errors.Is(err, io.EOF):
		return begin
	}
	return err
}

// wanted returns how large a note of a kind may be; 0 for kinds that do not matter.
func wanted(kind uint32) int64 {
	switch kind {
	case ntPRStatus, ntPRPSInfo, ntSigInfo:
		return 1 << 10
	case ntAuxv:
		return maxAuxv * 16
	case ntFile:
		return maxFileNote
	}
	return 0
}

// note keeps the content of a note.
func (c *Core) note(kind uint32, b []byte) {
	switch kind {
	case ntPRStatus:
		if t, ok := parseStatus(c.Arch, b); ok && len(c.Threads) < maxThreads {
			c.Threads = append(c.Threads, t)
			if len(c.Threads) == 1 && !c.Signal.detailed && endsWithCore(t.Signal) {
				c.Signal.Number = t.Signal
			}
		}
	case ntPRPSInfo:
		c.parseInfo(b)
	case ntSigInfo: // the first one is that of the first thread; gcore writes one for each
		if !c.Signal.detailed {
			c.Signal.parse(b)
		}
	case ntAuxv:
		c.rawAuxv = b
		c.auxv = parseAuxv(b)
	case ntFile:
		c.files = parseFiles(b)
	}
}

// parseInfo parses a struct elf_prpsinfo (linux/elfcore.h).
func (c *Core) parseInfo(b []byte) {
	const pid, fname, psargs, size = 24, 40, 56, 136
	if len(b) < size {
		return
	}
	c.PID = int(int32(binary.LittleEndian.Uint32(b[pid:])))
	c.Name = text(b[fname:psargs])
	c.Args = strings.Fields(text(b[psargs:size]))
	// 79 characters and a zero fit. The words may have contained spaces.
	c.ArgsCut = true
}

// text returns a string that ends with a zero.
func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}

// parseStatus parses a struct elf_prstatus (linux/elfcore.h).
func parseStatus(arch string, b []byte) (Thread, bool) {
	const cursig, pid, regs = 12, 32, 112
	reg := func(n int) uint64 { return binary.LittleEndian.Uint64(b[regs+8*n:]) }
	var t Thread
	switch {
	case arch == "amd64" && len(b) >= regs+27*8: // struct user_regs_struct
		t.Registers = Registers{PC: reg(16), SP: reg(19), BP: reg(4), G: reg(1)}
	case arch == "arm64" && len(b) >= regs+34*8: // struct user_pt_regs
		t.Registers = Registers{PC: reg(32), SP: reg(31), BP: reg(29), LR: reg(30), G: reg(28)}
	default:
		return t, false
	}
	t.Signal = int(int16(binary.LittleEndian.Uint16(b[cursig:])))
	t.TID = int(int32(binary.LittleEndian.Uint32(b[pid:])))
	return t, true
}

// mapping is a mapped file.
type mapping struct {
	start, end uint64
	name       string
}

// parseFiles parses a note of mapped files: their number, the unit of the offsets,
// three numbers for each, then their names (fill_files_note in fs/binfmt_elf.c).
func parseFiles(b []byte) []mapping {
	if len(b) < 16 {
		return nil
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxFiles || n > uint64(len(b)-16)/24 {
		return nil
	}
	numbers, names := b[16:16+24*n], b[16+24*n:]
	var list []mapping
	for ; len(numbers) > 0; numbers = numbers[24:] {
		name, rest, ok := bytes.Cut(names, []byte{0})
		if !ok {
			break
		}
		names = rest
		list = append(list, mapping{binary.LittleEndian.Uint64(numbers), binary.LittleEndian.Uint64(numbers[8:]), string(name)})
	}
	return list
}

// auxv is the auxiliary vector (getauxval(3)).
type auxv map[uint64]uint64

const (
	atPhdr   = 3
	atEntry  = 9
	atExecFn = 31
)

func parseAuxv(b []byte) auxv {
	a := auxv{}
	for ; len(b) >= 16; b = b[16:] {
		key := binary.LittleEndian.Uint64(b)
		if key == 0 {
			break
		}
		a[key] = binary.LittleEndian.Uint64(b[8:])
	}
	return a
}
