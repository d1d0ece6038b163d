package core

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/gomanhole/oneshot/internal/exefile"
)

// ErrOtherExecutable is the error for a file that is not the program which left the
// core.
var ErrOtherExecutable = errors.New("not the program that left the core")

// deleted is what the kernel adds to the path of a file that has been removed.
const deleted = " (deleted)"

// findExecutable finds the path of the program: that of the mapping with its entry
// point.
func (c *Core) findExecutable() {
	for _, f := range c.files {
		if c.Entry >= f.start && c.Entry < f.end {
			c.Executable = strings.TrimSuffix(f.name, deleted)
			return
		}
	}
	if name, ok := c.readString(c.auxv[atExecFn], 4<<10); ok && c.auxv[atExecFn] != 0 {
		c.Executable = name
	}
}

// Attach adds the memory that the core leaves out because it is the same as in the
// program's file: the code and the read-only data. Memory that the program could
// write is never taken from the file.
//
// path is the file; if it is empty, the path in the core is used. The error wraps
// ErrOtherExecutable if the file is another program.
//
// No other file that the core names is opened.
func (c *Core) Attach(path string) (*elf.File, error) {
	if path == "" {
		path = c.Executable
		if path == "" {
			return nil, errors.New("the core does not say which program left it; name its executable")
		}
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("the core was left by %s, which is not a full path; name its executable", path)
		}
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	program, err := c.attach(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.closers = append(c.closers, f)
	c.program = f
	return program, nil
}

// File returns the file of the executable, after Attach.
func (c *Core) File() io.ReaderAt { return c.program }

func (c *Core) attach(f io.ReaderAt) (program *elf.File, err error) {
	if program, err = exefile.Open(f); err != nil {
		return nil, err
	}
	if err := c.sameProgram(program); err != nil {
		return nil, err
	}
	bias := c.Bias(program)
	var list []region
	for _, p := range program.Progs {
		start := p.Vaddr + bias
		if p.Type != elf.PT_LOAD || p.Flags&elf.PF_W != 0 || p.Off > 1<<62 || start+p.Filesz < start {
			continue
		}
		list = append(list, region{start, start + p.Filesz, f, int64(p.Off)})
	}
	c.regions = merge(c.regions, list)
	return program, nil
}

// Bias returns the difference between the addresses in memory and those in the
// program's file. It is not 0 for a position-independent executable.
func (c *Core) Bias(program *elf.File) uint64 {
	if c.Entry == 0 {
		return 0
	}
	return c.Entry - program.Entry
}

// sameProgram compares a file with what the core has of the program: its architecture,
// and its first page. The kernel writes that page into every core so that a build id
// can be found; it has the sizes and places of all sections as well.
func (c *Core) sameProgram(program *elf.File) error {
	arch := map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}[program.Machine]
	if arch != c.Arch {
		return fmt.Errorf("%w: it is for %v, the core for %s", ErrOtherExecutable, program.Machine, c.Arch)
	}
	bias := c.Bias(program)
	if bias%4096 != 0 || bias != 0 && program.Type != elf.ET_DYN {
		return fmt.Errorf("%w: its entry point is another", ErrOtherExecutable)
	}
	for _, p := range program.Progs {
		if p.Type != elf.PT_LOAD || p.Off != 0 || p.Flags&elf.PF_W != 0 {
			continue
		}
		n := min(p.Filesz, 4096)
		inCore, inFile := make([]byte, n), make([]byte, n)
		if c.Read(p.Vaddr+bias, inCore) != nil {
			break
		}
		if _, err := io.ReadFull(p.Open(), inFile); err != nil {
			return err
		}
		if !bytes.Equal(inCore, inFile) {
			return fmt.Errorf("%w: its build id or the places of its sections differ", ErrOtherExecutable)
		}
		return nil
	}
	c.remark("The core does not contain the first page of the program, so that its executable could not be checked.")
	return nil
}
