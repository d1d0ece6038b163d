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
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/exefile"
	"github.com/gomanhole/oneshot/internal/image"
)

// Process is a running process. Its methods may be called from any goroutine.
type Process struct {
	pid   int
	exe   *os.File
	file  *elf.File
	entry uint64 // where the program begins in memory
}

// Open opens a process. The caller must call Close. Without the right to trace the
// process (ptrace(2)), an error of Open or Read wraps fs.ErrPermission.
func Open(pid int) (_ *Process, err error) {
	dir := "/proc/" + strconv.Itoa(pid)
	exe, err := os.Open(dir + "/exe")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			exe.Close()
		}
	}()
	p := &Process{pid: pid, exe: exe}
	if p.file, err = exefile.Open(exe); err == nil {
		p.entry, err = entry(dir + "/auxv")
	}
	if err != nil {
		return nil, err
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
			return os.NewSyscallError("process_vm_readv", err)
		case n <= 0:
			return fmt.Errorf("%#x: %w", addr, io.ErrUnexpectedEOF)
		}
		addr, b = addr+uint64(n), b[n:]
	}
	return nil
}

// maxPieces is how many pieces the kernel reads in one call (UIO_MAXIOV).
const maxPieces = 1024

// ReadPieces fills pieces with as few calls as possible.
func (p *Process) ReadPieces(pieces []image.Piece) {
	local := make([]unix.Iovec, min(len(pieces), maxPieces))
	remote := make([]unix.RemoteIovec, len(local))
	for len(pieces) > 0 {
		n := 0
		for ; n < len(local) && n < len(pieces); n++ {
			b := pieces[n].Bytes
			local[n] = unix.Iovec{Base: unsafe.SliceData(b)}
			local[n].SetLen(len(b))
			remote[n] = unix.RemoteIovec{Base: uintptr(pieces[n].Addr), Len: len(b)}
			pieces[n].Err = nil
		}
		read, err := unix.ProcessVMReadv(p.pid, local[:n], remote[:n], 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		done := 0
		for ; done < n && len(pieces[done].Bytes) <= read; done++ {
			read -= len(pieces[done].Bytes)
		}
		if done < n { // the kernel has stopped at a piece that it cannot read
			pieces[done].Err = p.Read(pieces[done].Addr, pieces[done].Bytes)
			done++
		}
		pieces = pieces[done:]
	}
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
