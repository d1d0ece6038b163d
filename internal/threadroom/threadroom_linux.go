//go:build amd64 || arm64

// Package threadroom finds out whether the process can create a few more threads.
package threadroom

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Check returns an error if the process cannot create four more threads.
// A session locks one thread to its goroutine. The runtime starts another thread
// as a replacement, and may need a third one to do so. If the runtime cannot create
// a thread, it ends the program (newosproc in the runtime's os_linux.go), which is
// worse than no session.
//
// Several limits may apply, and the process cannot know which. So Check creates the
// threads. They end at once. Each runs on the stack of its creator, which is
// suspended meanwhile (CLONE_VFORK). Every signal is blocked.
func Check() error {
	const atOnce = 4
	runtime.LockOSThread() // the signal mask belongs to the thread
	defer runtime.UnlockOSThread()
	every, before := ^uint64(0), uint64(0)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&every)), uintptr(unsafe.Pointer(&before)), unsafe.Sizeof(every), 0, 0)
	errno := makeThreads(atOnce)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&before)), 0, unsafe.Sizeof(before), 0, 0)
	if !errors.Is(errno, syscall.EAGAIN) { // seccomp may forbid this way to create one
		return nil
	}
	return fmt.Errorf("the process may have no %d threads more, and a Go program that wants one and gets none ends: %w; "+
		"raise the limit of its user (prlimit --pid %d --nproc=N) or of its cgroup (pids.max), and come again", atOnce, errno, os.Getpid())
}

// makeThreads creates n threads that exist at the same time, and returns when all
// have ended. If a thread could not be created, it returns the error of clone(2).
// Otherwise it returns 0 (threadroom_linux_*.s).
func makeThreads(n int) syscall.Errno
