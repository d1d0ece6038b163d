//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/image/core/coretest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// coreProgram parks goroutines, and runs until it is killed or, with the argument
// "crash", dies of a nil pointer.
func coreProgram() {
	coretest.AllowWrite()
	time.AfterFunc(4*testwait.Patience, func() { os.Exit(1) }) // even if the test does not kill it
	for range 7 {
		go waitForCore(make(chan int))
	}
	testwait.Until(func() bool { return len(stacksOf("waitForCore(")) == 7 }, "7 goroutines that wait")
	if os.Args[len(os.Args)-1] == "spin" {
		go spinForCore()
	}
	fmt.Println("ready")
	switch os.Args[len(os.Args)-1] {
	case "crash":
		crashForCore(nil)
	case "quit":
		quitForCore()
	}
	select {}
}

//go:noinline
func waitForCore(c chan int) { <-c }

//go:noinline
func crashForCore(p *int) { *p = 1 }

var spun int // written by spinForCore only

// spinForCore computes on its own stack. The race detector would move it to that of the
// thread for moments.
//
//go:norace
//go:noinline
func spinForCore() {
	for {
		spun++
	}
}

//go:noinline
func quitForCore() {
	runtime.LockOSThread() // the signal comes to this thread
	_ = unix.Tgkill(os.Getpid(), unix.Gettid(), syscall.SIGQUIT)
	select {}
}

// stacksOf returns the parked goroutines of this process with a text on their stack.
func stacksOf(text string) (found []string) {
	buf := make([]byte, 1<<20)
	for one := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(one, text) && strings.Contains(one, "chan receive") {
			found = append(found, one)
		}
	}
	return found
}

// coreClient runs oneshot core.
func coreClient(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return client(t, append([]string{self, "core"}, args...)...)
}

func coreCommandOf(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skipf("cores of %s are not read", runtime.GOARCH)
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := testwait.Command(t, self, args...)
	cmd.Env = append(os.Environ(), programEnv+"=core", "GOTRACEBACK=crash")
	return cmd
}

func TestCoreOfARunningProgram(t *testing.T) {
	child := testwait.Start(t, coreCommandOf(t, "one", "two words", "\x1b[31mred\nline"), "ready")
	file := filepath.Join(t.TempDir(), "core")
	coretest.Write(t, child.Process.Pid, file)

	out, errs, status := coreClient(t, file)
	require.Zero(t, status, errs)
	require.Empty(t, errs)
	require.Contains(t, out, fmt.Sprintf("%s linux/%s, process %d\n", runtime.Version(), runtime.GOARCH, child.Process.Pid))
	require.Contains(t, out, ` one "two words" "\x1b[31mred\nline"`)
	require.Contains(t, out, "no signal ended it: the core was taken while it ran; ")
	require.Regexp(t, `(?m)^7 chan receive\n    goroutines( \d+){7}\n    \S+\.waitForCore  cmd/oneshot/core_test\.go:\d+\n    created by \S+\.coreProgram  cmd/oneshot/core_test\.go:\d+$`, out)

	out, _, status = coreClient(t, file, "stacks", "-n", "1", "-state", "chan", "waitForCore")
	require.Zero(t, status)
	require.Contains(t, out, "\n7 goroutines (of ")
	require.NotContains(t, out, "core of")

	out, _, status = coreClient(t, file, "stacks", "-go")
	require.Zero(t, status)
	require.Equal(t, 7, strings.Count(out, "waitForCore()\n"))

	out, _, status = coreClient(t, file, "goroutine", "1")
	require.Zero(t, status)
	require.True(t, strings.HasPrefix(out, "goroutine 1 [select (no cases)]:\n"), out)

	_, errs, status = coreClient(t, file, "goroutine", "987654321")
	require.Equal(t, 1, status)
	require.Equal(t, "oneshot: there is no goroutine 987654321\n", errs)

	text, err := os.ReadFile(filepath.Join("/usr/bin", "env"))
	require.NoError(t, err)
	other := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(other, bytes.Clone(text), 0o700))
	_, errs, status = coreClient(t, file, other)
	require.Equal(t, 1, status)
	require.Contains(t, errs, other+": not the program that left the core")
}

// kernelCore runs the program until it dies, and returns the core of the kernel.
func kernelCore(t *testing.T, how string) (file, executable string) {
	t.Helper()
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	require.NoError(t, err)
	if name := strings.TrimSpace(string(pattern)); name == "" || strings.ContainsAny(name, "|/%") {
		t.Skipf("the kernel does not write cores into the working directory: core_pattern is %q", name)
	}
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_CORE, &limit))
	if limit.Max < 1<<30 {
		t.Skipf("cores are limited to %d bytes", limit.Max)
	}
	cmd := coreCommandOf(t, how)
	executable = cmd.Path
	cmd.Args = append([]string{"sh", "-c", `ulimit -c "$(ulimit -H -c)"; exec "$0" "$@"`, executable}, cmd.Args[1:]...)
	cmd.Path, err = exec.LookPath("sh")
	require.NoError(t, err)
	cmd.Dir = t.TempDir()
	text, err := cmd.CombinedOutput()
	require.Error(t, err, string(text))
	files, err := filepath.Glob(filepath.Join(cmd.Dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, 1, string(text))
	return files[0], executable
}

func TestCoreOfACrash(t *testing.T) {
	file, self := kernelCore(t, "crash")
	out, errs, status := coreClient(t, file, self)
	require.Zero(t, status, errs)
	require.Empty(t, errs)
	require.Contains(t, out, "ended by SIGABRT, which it sent to itself, as the Go runtime does after a panic or SIGQUIT with GOTRACEBACK=crash; ")
	require.Contains(t, out, "the signal came to the thread of goroutine 1, which had panicked because of SIGSEGV at address 0x0:\ngoroutine 1 [running]:\n")
	require.Regexp(t, `runtime\.sigpanic\(\)\n.*\n\S+\.crashForCore\(\)\n\t\S+core_test\.go:\d+\n\S+\.coreProgram\(\)`, out, "the stack through the signal")
	require.Regexp(t, `(?m)^7 chan receive$`, out)
}

// SIGQUIT is what people send to a program that hangs. With GOTRACEBACK=crash its
// handler sends SIGABRT, so that two signals are on the stack of the thread.
func TestCoreAfterSIGQUIT(t *testing.T) {
	file, self := kernelCore(t, "quit")
	out, errs, status := coreClient(t, file, self)
	require.Zero(t, status, errs)
	require.Contains(t, out, "ended by SIGABRT, which it sent to itself")
	require.Regexp(t, `the signal came to the thread of goroutine 1:\ngoroutine 1 \[running, locked to thread\]:\n(.*\n)*\S+\.quitForCore\(\)\n\t\S+core_test\.go:\d+\n\S+\.coreProgram\(\)`, out)
	require.Regexp(t, `(?m)^7 chan receive$`, out)
}

// gcore of gdb stops a program for a moment, and shows where its goroutines run.
func TestCoreOfGcore(t *testing.T) {
	if out, err := testwait.Command(t, "gcore", "-h").CombinedOutput(); err != nil && len(out) == 0 {
		t.Skipf("needs gcore (apt-get install gdb): %v", err)
	}
	child := testwait.Start(t, coreCommandOf(t, "spin"), "ready")
	prefix := filepath.Join(t.TempDir(), "core")
	pid := strconv.Itoa(child.Process.Pid)
	text, err := testwait.Command(t, "gcore", "-o", prefix, pid).CombinedOutput()
	require.NoError(t, err, string(text))
	out, errs, status := coreClient(t, prefix+"."+pid)
	require.Zero(t, status, errs)
	require.Contains(t, out, "no signal ended it: the core was taken while it ran; ")
	require.Contains(t, out, ", process "+pid+"\n")
	require.Regexp(t, `(?m)^7 chan receive$`, out)
	require.Regexp(t, `(?m)^    \S+\.spinForCore  \S+core_test\.go:\d+$`, out, "from the registers")
}

// A core that is cut off shows what it still has, and says that it is cut off.
func TestCoreThatIsCutOff(t *testing.T) {
	cmd := coreCommandOf(t)
	child := testwait.Start(t, cmd, "ready")
	file := filepath.Join(t.TempDir(), "core")
	coretest.Write(t, child.Process.Pid, file)
	info, err := os.Stat(file)
	require.NoError(t, err)
	shown := map[int]int{}
	for _, cut := range []int64{4096, info.Size() - 100_000} {
		require.NoError(t, os.Truncate(file, info.Size()-cut))
		out, errs, status := coreClient(t, file, cmd.Path)
		require.Regexp(t, `The core is truncated: \d+ of \d+ bytes of memory are missing\.`, errs)
		if shown[status]++; status == 0 {
			require.Contains(t, out, "coreProgram")
		}
	}
	require.Equal(t, map[int]int{0: 1, 1: 1}, shown)
}

// Names of functions and files come from the core. Their control characters must not
// reach the terminal.
func TestTextFromACoreIsEscaped(t *testing.T) {
	var out bytes.Buffer
	e := display.NewScreen(&out)
	_, err := fmt.Fprintf(e, "main.\x1b[31mred()\n\t/src/\xff.go:%d\n", 1)
	require.NoError(t, err)
	require.Equal(t, `main.\x1b[31mred()`+"\n\t"+`/src/\xff.go:1`+"\n", out.String())
}
