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
func Open(pid int) (*Process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	exe, err := os.Open(dir + "/exe")
	if err != nil {
		return nil, explain(pid, err)
	}
	p := &Process{pid: pid, exe: exe}
	if p.file, err = elf.NewFile(exe); err == nil {
		p.entry, err = entry(dir + "/auxv")
	}
	if err != nil {
		exe.Close()
		return nil, explain(pid, err)
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
			return explain(p.pid, os.NewSyscallError("process_vm_readv", err))
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
func explain(pid int, err error) error {
	if !errors.Is(err, os.ErrPermission) && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	text := "only root, or a process with CAP_SYS_PTRACE, may read its memory"
	if scope, readErr := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); readErr != nil || len(scope) > 0 && scope[0] == '0' {
		text = "only its own user, root, or a process with CAP_SYS_PTRACE, may read its memory"
	}
	return fmt.Errorf("process %d: %w; %s; in a container, kubectl debug --profile=general gives this right", pid, err, text)
}
