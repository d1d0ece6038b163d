//go:build amd64 || arm64

package oneshot

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// checkThreads returns an error if the process may not have the few more
// threads that a session can make the runtime want: the session has one to
// itself, in whose place there must be another, which a third one makes. At the
// limit of its user or its container the runtime would end the program (newosproc
// in os_linux.go), which is worse than no session.
//
// No limit can be read that is sure to be the one, so the threads are made, and
// end at once. Each runs on the stack of its maker, which stands still meanwhile
// (CLONE_VFORK), with every signal blocked.
func checkThreads() error {
	const atOnce = 4
	runtime.LockOSThread() // the mask is the thread's
	defer runtime.UnlockOSThread()
	every, before := ^uint64(0), uint64(0)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&every)), uintptr(unsafe.Pointer(&before)), unsafe.Sizeof(every), 0, 0)
	errno := makeThreads(atOnce)
	syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK,
		uintptr(unsafe.Pointer(&before)), 0, unsafe.Sizeof(before), 0, 0)
	if !errors.Is(errno, syscall.EAGAIN) { // seccomp may have another opinion of such threads
		return nil
	}
	return fmt.Errorf("the process may have no %d threads more, and a Go program that wants one and gets none ends: %w; "+
		"raise the limit of its user (prlimit --pid %d --nproc=N) or of its cgroup (pids.max), and come again", atOnce, errno, os.Getpid())
}

// makeThreads makes n threads that exist at the same time, and returns why one
// could not be made, when all have ended. It is in thread_linux_*.s.
func makeThreads(n int) syscall.Errno
