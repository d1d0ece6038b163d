package main

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/image/layout/fromdwarf"
)

// program is any program: the runtime is in each of them.
const program = "package main\n\nfunc main() {}\n"

// build builds the program with a toolchain and returns the table that its DWARF
// gives.
func build(ctx context.Context, toolchain, arch string) (*layout.Layout, error) {
	dir, err := os.MkdirTemp("", "layout")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		return nil, err
	}
	binary := filepath.Join(dir, "program")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain, "GOOS=linux", "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=")
	if text, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s for %s: %w\n%s", toolchain, arch, err, text)
	}
	l, err := read(binary, layout.Line(toolchain))
	if err != nil {
		return nil, fmt.Errorf("%s for %s: %w", toolchain, arch, err)
	}
	return l, nil
}

// read returns the table that the DWARF of a binary gives.
func read(binary, release string) (*layout.Layout, error) {
	f, err := elf.Open(binary)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := f.DWARF()
	if err != nil {
		return nil, err
	}
	return fromdwarf.Read(data, release, func(addr uint64, b []byte) error {
		for _, p := range f.Progs {
			if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr <= p.Filesz && uint64(len(b)) <= p.Filesz-(addr-p.Vaddr) {
				_, err := io.ReadFull(io.NewSectionReader(p, int64(addr-p.Vaddr), int64(len(b))), b)
				return err
			}
		}
		return errors.New("the address is not in the file")
	})
}
