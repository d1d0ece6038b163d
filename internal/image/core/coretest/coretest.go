//go:build linux

// Package coretest writes core files of running programs, so that tests need neither
// gcore nor a core_pattern. A program is stopped with ptrace while its memory is read,
// and goes on afterwards.
package coretest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// jobEnv has the job of a process that writes a core: the pid and the path.
const jobEnv = "ONESHOT_CORETEST_JOB"

// Write writes a core of a process to path. It leaves out what the kernel leaves out:
// the content of files that the program only reads, but for the first page of each.
//
// Another process does the work, the test binary once more: the stops of a traced
// child would be taken for its end by the goroutine that waits for the child.
func Write(t testing.TB, pid int, path string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := testwait.Command(t, self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", jobEnv, pid, path))
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}

// AllowWrite is for the program: it lets every process of the user trace it where
// Yama allows that to its parent only (PR_SET_PTRACER in prctl(2)).
func AllowWrite() {
	_ = unix.Prctl(unix.PR_SET_PTRACER, ^uintptr(0), 0, 0, 0) // an error: there is no Yama
}

func init() {
	job := os.Getenv(jobEnv)
	if job == "" {
		return
	}
	pid, path, _ := strings.Cut(job, " ")
	number, err := strconv.Atoi(pid)
	must(err)
	writeCore(number, path)
	os.Exit(0)
}

// must ends the process that writes a core; its parent shows the text.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func writeCore(pid int, path string) {
	runtime.LockOSThread() // ptrace is per thread
	tids := attach(pid)
	var notes bytes.Buffer
	for i, tid := range tids {
		notes.Write(note(1, status(tid)))
		if i == 0 {
			notes.Write(note(3, info(pid)))
			notes.Write(note(6, procFile(pid, "auxv")))
		}
	}
	maps := readMaps(pid)
	notes.Write(note(0x46494c45, fileNote(maps)))
	f, err := os.Create(path)
	must(err)
	write(f, pid, notes.Bytes(), maps)
	must(f.Close())
	for _, tid := range tids {
		must(unix.PtraceDetach(tid))
	}
}

func procFile(pid int, name string) []byte {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	must(err)
	return text
}

// attach stops all threads of a process and returns their ids, that of the first
// thread first.
func attach(pid int) []int {
	stopped := map[int]bool{}
	var tids []int
	for more := true; more; {
		more = false
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		must(err)
		for _, e := range entries {
			tid, err := strconv.Atoi(e.Name())
			must(err)
			if stopped[tid] {
				continue
			}
			if err := unix.PtraceAttach(tid); err == unix.ESRCH {
				continue // it has ended
			} else {
				must(err)
			}
			_, err = unix.Wait4(tid, nil, unix.WALL, nil)
			must(err)
			stopped[tid], more = true, true
			tids = append(tids, tid)
		}
	}
	return tids
}

// note formats a note.
func note(kind uint32, content []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 5)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(content)))
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = append(b, "CORE\x00\x00\x00\x00"...)
	b = append(b, content...)
	return append(b, make([]byte, -len(content)&3)...)
}

// status returns a struct elf_prstatus.
func status(tid int) []byte {
	registers := make([]byte, 512)
	vector := unix.Iovec{Base: &registers[0]}
	vector.SetLen(len(registers))
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GETREGSET, uintptr(tid), 1, uintptr(unsafe.Pointer(&vector)), 0, 0)
	if errno != 0 {
		must(errno)
	}
	b := make([]byte, 112)
	binary.LittleEndian.PutUint32(b[32:], uint32(tid))
	b = append(b, registers[:vector.Len]...)
	return append(b, make([]byte, 8)...)
}

// info returns a struct elf_prpsinfo.
func info(pid int) []byte {
	comm, line := procFile(pid, "comm"), procFile(pid, "cmdline")
	b := make([]byte, 136)
	binary.LittleEndian.PutUint32(b[24:], uint32(pid))
	copy(b[40:55], bytes.TrimSpace(comm))
	copy(b[56:135], bytes.ReplaceAll(line, []byte{0}, []byte(" ")))
	return b
}

// mapping is a line of /proc/PID/maps.
type mapping struct {
	start, end, offset uint64
	perm, name         string
}

// dumped returns how many bytes of a mapping a core contains.
func (m mapping) dumped() uint64 {
	switch {
	case !strings.HasPrefix(m.perm, "r") || strings.HasPrefix(m.name, "[v"):
		return 0
	case strings.HasPrefix(m.name, "/") && !strings.Contains(m.perm, "w"):
		if m.offset == 0 {
			return min(4096, m.end-m.start)
		}
		return 0
	}
	return m.end - m.start
}

func readMaps(pid int) []mapping {
	var maps []mapping
	for line := range strings.Lines(string(procFile(pid, "maps"))) {
		var m mapping
		var device, inode string
		_, err := fmt.Sscanf(line, "%x-%x %s %x %s %s", &m.start, &m.end, &m.perm, &m.offset, &device, &inode)
		must(err)
		if at := strings.IndexAny(line, "/["); at >= 0 {
			m.name = strings.TrimSpace(line[at:])
		}
		maps = append(maps, m)
	}
	return maps
}

// fileNote returns the content of an NT_FILE note.
func fileNote(maps []mapping) []byte {
	var numbers, names []byte
	n := 0
	for _, m := range maps {
		if !filepath.IsAbs(m.name) {
			continue
		}
		n++
		for _, v := range []uint64{m.start, m.end, m.offset / 4096} {
			numbers = binary.LittleEndian.AppendUint64(numbers, v)
		}
		names = append(append(names, m.name...), 0)
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(n))
	b = binary.LittleEndian.AppendUint64(b, 4096)
	return append(append(b, numbers...), names...)
}

// write writes the headers, the notes, and the memory, in which pages of zeros are
// holes.
func write(f *os.File, pid int, notes []byte, maps []mapping) {
	machine := elf.EM_X86_64
	if runtime.GOARCH == "arm64" {
		machine = elf.EM_AARCH64
	}
	header := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_CORE), Machine: uint16(machine), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: uint16(len(maps) + 1),
	}
	offset := uint64(64 + 56*(len(maps)+1))
	programs := []elf.Prog64{{Type: uint32(elf.PT_NOTE), Off: offset, Filesz: uint64(len(notes))}}
	offset = (offset + uint64(len(notes)) + 4095) &^ 4095
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	must(err)
	defer memory.Close()
	for _, m := range maps {
		size := m.dumped()
		programs = append(programs, elf.Prog64{Type: uint32(elf.PT_LOAD), Off: offset, Vaddr: m.start, Filesz: size, Memsz: m.end - m.start, Align: 4096})
		page := make([]byte, 4096)
		for at := uint64(0); at < size; at += 4096 {
			_, err := memory.ReadAt(page, int64(m.start+at))
			must(err)
			if !bytes.Equal(page, make([]byte, 4096)) {
				_, err = f.WriteAt(page, int64(offset+at))
				must(err)
			}
		}
		offset += size
	}
	must(f.Truncate(int64(offset)))
	var head bytes.Buffer
	must(binary.Write(&head, binary.LittleEndian, header))
	must(binary.Write(&head, binary.LittleEndian, programs))
	head.Write(notes)
	_, err = f.WriteAt(head.Bytes(), 0)
	must(err)
}
