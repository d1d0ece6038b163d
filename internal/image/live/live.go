//go:build linux

// Package live reads the memory of a running process, for package image. It does not
// stop the process, sends it no signal and never writes to it.
package live

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Process is a running process. Its methods may be called from any goroutine.
type Process struct {
	pid   int
	exe   *os.File
	file  *elf.File
	entry uint64 // where the program begins in memory
}

// Open opens a process. The caller must call Close. The error says which right is
// missing, if that is the reason.
func Open(pid int) (_ *Process, err error) {
	dir := "/proc/" + strconv.Itoa(pid)
	exe, err := os.Open(dir + "/exe")
	if err != nil {
		return nil, explain(err)
	}
	defer func() {
		if v := recover(); v != nil { // debug/elf is not made for hostile files
			err = fmt.Errorf("the executable is damaged: %v", v)
		}
		if err != nil {
			exe.Close()
		}
	}()
	p := &Process{pid: pid, exe: exe}
	if p.file, err = elf.NewFile(exe); err == nil {
		p.entry, err = entry(dir + "/auxv")
	}
	if err != nil {
		return nil, explain(err)
	}
	return p, nil
}

// Close closes the executable.
func (p *Process) Close() error { return p.exe.Close() }

// Executable returns the program's file. It is the file that the process runs, even if
// another one is at its path now.
func (p *Process) Executable() (*elf.File, io.ReaderAt) { return p.file, p.exe }

// Bias returns the difference between the addresses in memory and those in the
// program's file. It is not 0 for a position-independent executable.
func (p *Process) Bias() uint64 { return p.entry - p.file.Entry }

// Read fills b with the memory at addr (process_vm_readv(2)).
func (p *Process) Read(addr uint64, b []byte) error {
	for len(b) > 0 {
		local := []unix.Iovec{{Base: &b[0]}}
		local[0].SetLen(len(b))
		n, err := unix.ProcessVMReadv(p.pid, local, []unix.RemoteIovec{{Base: uintptr(addr), Len: len(b)}}, 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return explain(os.NewSyscallError("process_vm_readv", err))
		case n <= 0:
			return fmt.Errorf("%#x: %w", addr, io.ErrUnexpectedEOF)
		}
		addr, b = addr+uint64(n), b[n:]
	}
	return nil
}

// entry returns AT_ENTRY of an auxiliary vector (proc(5)).
func entry(file string) (uint64, error) {
	const atEntry = 9
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	vector, err := io.ReadAll(io.LimitReader(f, 4<<10))
	if err != nil {
		return 0, err
	}
	for ; len(vector) >= 16; vector = vector[16:] {
		if binary.LittleEndian.Uint64(vector) == atEntry {
			return binary.LittleEndian.Uint64(vector[8:]), nil
		}
	}
	return 0, fmt.Errorf("%s has no AT_ENTRY", file)
}

// explain adds to an error about rights who may read the memory.
func explain(err error) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	who := "root, and programs with CAP_SYS_PTRACE, may"
	if scope, readErr := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); readErr != nil || scope[0] == '0' {
		who = "the same user, root, and programs with CAP_SYS_PTRACE, may"
	}
	return fmt.Errorf("%w; only %s read its memory; in Kubernetes, kubectl debug --profile=general gives this right", err, who)
}
