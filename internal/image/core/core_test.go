//go:build linux && (amd64 || arm64)

package core_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/image/core"
	"github.com/gomanhole/oneshot/internal/image/core/coretest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// args is a command line that is longer than the 79 characters of NT_PRPSINFO.
var args = []string{"with space", "", strings.Repeat("long", 60), "-flag=ä"}

// take runs the program and writes a core of it with coretest.
func take(t testing.TB) (path string, pid int, addresses func() (written, constant uint64)) {
	t.Helper()
	cmd, addresses := program(t, "wait", args...)
	child := testwait.Start(t, cmd, "ready")
	path = filepath.Join(t.TempDir(), "core")
	coretest.Write(t, child.Process.Pid, path)
	return path, child.Process.Pid, addresses
}

func open(t testing.TB, path string) *core.Core {
	t.Helper()
	c, err := core.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// check checks a core of the program that a tool made.
func check(t *testing.T, c *core.Core, args []string) {
	t.Helper()
	require.Equal(t, runtime.GOARCH, c.Arch)
	require.Equal(t, self(t), c.Executable)
	require.Equal(t, append([]string{self(t)}, args...), c.Args)
	require.False(t, c.ArgsCut)
	require.Empty(t, c.Remarks)
	require.NotZero(t, c.Entry)
	require.Greater(t, len(c.Threads), 2)
	ids := map[int]bool{}
	for _, thread := range c.Threads {
		ids[thread.TID] = true
		require.NotZero(t, thread.Registers.PC)
		require.NoError(t, c.Read(thread.Registers.SP, make([]byte, 8)), "the stack is in the core")
	}
	require.Len(t, ids, len(c.Threads))
	require.True(t, ids[c.PID], "the first thread has the id of the process")
}

// checkMemory checks the memory of the program before and after the executable is
// there.
func checkMemory(t *testing.T, c *core.Core, written, constantAt uint64, more bool) {
	t.Helper()
	word := make([]byte, 32)
	require.NoError(t, c.Read(written, word))
	require.Equal(t, uint64(0x1122334455667788), binary.LittleEndian.Uint64(word[24:]))
	text := make([]byte, len(constant))
	if !more {
		require.ErrorIs(t, c.Read(constantAt, text), core.ErrNotThere)
	}
	_, err := c.Attach("")
	require.NoError(t, err)
	require.NoError(t, c.Read(constantAt, text))
	require.Equal(t, constant, string(text))
	require.NoError(t, c.Read(written, word), "the core's memory wins over the file")
	require.Equal(t, uint64(0x1122334455667788), binary.LittleEndian.Uint64(word))
	for _, thread := range c.Threads {
		require.NoError(t, c.Read(thread.Registers.PC, text[:1]), "code")
	}
	ranges := c.Ranges()
	for i, r := range ranges {
		require.Less(t, r.Start, r.End)
		if i > 0 {
			require.LessOrEqual(t, ranges[i-1].End, r.Start)
		}
	}
}

func TestACoreOfARunningProgram(t *testing.T) {
	path, pid, addresses := take(t)
	c := open(t, path)
	check(t, c, args)
	require.Equal(t, pid, c.PID)
	require.Zero(t, c.Signal)
	written, constant := addresses()
	checkMemory(t, c, written, constant, false)
	require.ErrorIs(t, c.Read(0, make([]byte, 1)), core.ErrNotThere)
	require.ErrorIs(t, c.Read(1<<64-1, make([]byte, 8)), core.ErrNotThere)
}

func TestACoreOfGcore(t *testing.T) {
	gcore, err := exec.LookPath("gcore")
	if err != nil {
		t.Skip("gcore is not installed; it is in the package gdb. Cores of the kernel and of coretest are tested.")
	}
	var disk unix.Statfs_t
	require.NoError(t, unix.Statfs(t.TempDir(), &disk))
	if free := disk.Bavail * uint64(disk.Bsize); free < 8<<30 {
		t.Skipf("%d MB are free for temporary files, and gcore writes all of the address space that the runtime reserves. Cores of the kernel and of coretest are tested.", free>>20)
	}
	cmd, addresses := program(t, "wait", args...)
	child := testwait.Start(t, cmd, "ready")
	prefix := filepath.Join(t.TempDir(), "core")
	tool := testwait.Command(t, gcore, "-o", prefix, strconv.Itoa(child.Process.Pid))
	out, err := tool.CombinedOutput()
	require.NoError(t, err, string(out))
	c := open(t, prefix+"."+strconv.Itoa(child.Process.Pid))
	check(t, c, args)
	require.Zero(t, c.Signal.Number, "gcore stops the program, but that is not its end")
	written, constant := addresses()
	checkMemory(t, c, written, constant, true)
}

func TestACoreOfTheKernel(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	require.NoError(t, err)
	if name := strings.TrimSpace(string(pattern)); name == "" || strings.ContainsAny(name, "|/%") {
		t.Skipf("the kernel does not write cores into the working directory: core_pattern is %q. Cores of coretest are tested.", name)
	}
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_CORE, &limit))
	if limit.Max < 1<<30 {
		t.Skipf("cores are limited to %d bytes. Cores of coretest are tested.", limit.Max)
	}
	cmd, addresses := program(t, "crash", args...)
	dir := t.TempDir()
	cmd.Args = append([]string{"sh", "-c", `ulimit -c "$(ulimit -H -c)"; exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path, err = exec.LookPath("sh")
	require.NoError(t, err)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.Error(t, err, string(out))
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1, string(out))

	c := open(t, files[0])
	check(t, c, args)
	require.Equal(t, int(syscall.SIGABRT), c.Signal.Number, "GOTRACEBACK=crash ends so")
	require.True(t, c.Signal.Sent())
	require.False(t, c.Signal.Fault())
	require.Equal(t, c.PID, c.Signal.PID)
	require.Equal(t, os.Getuid(), c.Signal.UID)
	require.Equal(t, int(syscall.SIGABRT), c.Threads[0].Signal)
	written, constant := addresses()
	checkMemory(t, c, written, constant, false)
}

func TestAnotherExecutableIsRefused(t *testing.T) {
	path, _, _ := take(t)
	text, err := os.ReadFile(self(t))
	require.NoError(t, err)
	dir := t.TempDir()
	// The build id is in the first page: any change there is another program.
	changed := slices.Clone(text)
	at := bytes.Index(changed[:4096], []byte("Go\x00\x00"))
	require.Positive(t, at, "the note with the build id")
	changed[at+8] ^= 1
	other := filepath.Join(dir, "other")
	require.NoError(t, os.WriteFile(other, changed, 0o700))
	_, err = open(t, path).Attach(other)
	require.ErrorIs(t, err, core.ErrOtherExecutable)
	require.ErrorContains(t, err, other)

	same := filepath.Join(dir, "same")
	require.NoError(t, os.WriteFile(same, text, 0o700))
	_, err = open(t, path).Attach(same)
	require.NoError(t, err, "the path does not matter")

	require.NoError(t, os.WriteFile(other, []byte("#!/bin/sh\n"), 0o700))
	_, err = open(t, path).Attach(other)
	require.Error(t, err)
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	path, _, _ := take(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(fifo, link))
	for _, name := range []string{fifo, link, "/dev/null", dir} {
		_, err := core.Open(name)
		require.ErrorContains(t, err, "is not a regular file")
		_, err = open(t, path).Attach(name)
		require.ErrorContains(t, err, "is not a regular file")
	}
}

// A core that a full disk or a limit has cut off gives what is there.
func TestATruncatedCore(t *testing.T) {
	path, _, addresses := take(t)
	info, err := os.Stat(path)
	require.NoError(t, err)
	written, _ := addresses()
	seen, seenAttached := map[bool]int{}, 0
	for _, size := range []int64{info.Size() - 1, info.Size() - 5000, info.Size() / 2, 20000, 5000, 2000, 200, 64} {
		require.NoError(t, os.Truncate(path, size))
		c := open(t, path)
		require.NotEmpty(t, c.Remarks, "%d of %d bytes", size, info.Size())
		there := c.Read(written, make([]byte, 8)) == nil
		seen[there]++
		if _, err := c.Attach(self(t)); err == nil && !there {
			require.ErrorIs(t, c.Read(written, make([]byte, 8)), core.ErrNotThere, "what the program may have written is not taken from its file")
			seenAttached++
		}
	}
	require.NotZero(t, seenAttached)
	require.NotZero(t, seen[true], "the variable was there")
	require.NotZero(t, seen[false], "the variable was not there")
	for _, size := range []int64{63, 1, 0} {
		require.NoError(t, os.Truncate(path, size))
		_, err := core.Open(path)
		require.ErrorIs(t, err, core.ErrNotCore)
	}
}

func TestFilesThatAreNotCores(t *testing.T) {
	program, err := os.ReadFile(self(t))
	require.NoError(t, err)
	for text, want := range map[string]string{
		"":                                    "it has only 0 bytes",
		strings.Repeat("text", 30):            "it is not an ELF file",
		string(program[:4096]):                "it is an ELF file of the type ET_",
		"\x28\xb5\x2f\xfd...":                 "it is compressed with zstd; run unzstd first, or coredumpctl dump -o FILE PID",
		"\x1f\x8b" + strings.Repeat("x", 100): "it is compressed with gzip; run gunzip first",
	} {
		_, err := core.New(strings.NewReader(text), int64(len(text)))
		require.ErrorIs(t, err, core.ErrNotCore)
		require.ErrorContains(t, err, want)
	}
	_, err = core.Open(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
