//go:build amd64 || arm64

// Package threadroom finds out whether the process can create a few more threads.
package threadroom

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// room is the number of threads that must be possible.
// A session locks one thread to its goroutine. The runtime starts another thread
// as a replacement, and may need a third one to do so. If the runtime cannot create
// a thread, it ends the program (newosproc in the runtime's os_linux.go), which is
// worse than no session.
const room = 4

// Check returns an error if the process cannot create that many threads.
//
// Besides the program's own limit, which CheckLimit knows, several limits of the system
// may apply, and the process cannot know which. So Check creates the threads. They wait
// until all of them exist, and end. They have every signal blocked, and use no memory but
// the word that they wait for, not even a stack.
func Check() error {
	if err := CheckLimit(); err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	tids, errno := letThrough()
	awaitEnd(tids[:])
	if !errors.Is(errno, syscall.EAGAIN) { // seccomp may forbid this way to create one
		return nil
	}
	return fmt.Errorf("the process may have no %d threads more, and a Go program that wants one and gets none ends: %w; "+
		"raise the limit of its user (prlimit --pid %d --nproc=N) or of its cgroup (pids.max), and try again", room, errno, os.Getpid())
}

// CheckLimit returns an error if the limit that the program has set (debug.SetMaxThreads)
// does not leave room for as many threads as Check wants. It takes microseconds, unlike
// Check, so it is called before a window is opened. A window and a client that is refused
// may need a thread too: where several CPUs are free, the runtime starts one for each
// goroutine that becomes ready. With GOMAXPROCS=8 this ended one of ten programs at their
// limit.
func CheckLimit() error {
	lock.Lock()
	defer lock.Unlock()
	if n, limit := runtimeThreads(), maxThreads(); n+room > limit {
		return fmt.Errorf("the program has %d of at most %d threads, and a Go program that wants more ends; "+
			"raise debug.SetMaxThreads, or read the program from outside (oneshot -outside %d)", n, limit, os.Getpid())
	}
	return nil
}

var (
	lock sync.Mutex // held by Check and CheckLimit

	// gate is the word that the threads wait for. Each call of makeThreads adds 1, so
	// that a thread that begins late does not wait.
	gate atomic.Uint32

	// In programs with C code, the C library clears the word of a thread when the
	// thread ends.
	cleared [room]uint32
)

// runtimeThreads returns the number of threads that the runtime has.
func runtimeThreads() int {
	n, _ := runtime.ThreadCreateProfile(nil)
	return n
}

// maxThreads returns the limit of debug.SetMaxThreads. That is the only function that
// tells, so the limit is off for a moment. If the program sets another one in this
// moment, that one is kept.
func maxThreads() int {
	limit := debug.SetMaxThreads(math.MaxInt32)
	for expected := math.MaxInt32; ; {
		before := debug.SetMaxThreads(limit)
		if before == expected {
			return limit
		}
		expected, limit = limit, before
	}
}

// A seccomp filter may allow only the flags with which the program creates its own threads.
// These are the runtime's (cloneFlags in os_linux.go, and CLONE_SETTLS on amd64), or
// those of the C library (pthread_create.c of glibc), if the program has C code.
const (
	goFlags = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	cFlags  = goFlags | unix.CLONE_SETTLS | unix.CLONE_PARENT_SETTID | unix.CLONE_CHILD_CLEARTID
)

//go:linkname iscgo runtime.iscgo
var iscgo bool

func cloneFlags() uintptr {
	switch {
	case iscgo:
		return cFlags
	case runtime.GOARCH == "amd64":
		return goFlags | unix.CLONE_SETTLS
	}
	return goFlags
}

// letThrough creates the threads and lets them end. It returns those that it has
// created, and the error of clone(2), or 0.
func letThrough() (tids [room]int32, errno syscall.Errno) {
	errno = makeThreads(cloneFlags(), &cleared, &tids, &gate, gate.Load())
	gate.Add(1)
	const futexWakePrivate = 1 | 128 // as in the runtime's os_linux.go
	syscall.RawSyscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(&gate)), futexWakePrivate, room)
	return tids, errno
}

// awaitEnd waits until the threads have ended, since they count until then. On a busy
// machine they may not get a CPU at once.
func awaitEnd(tids []int32) {
	const most, interval = 100 * time.Millisecond, 50 * time.Microsecond
	pid, deadline := os.Getpid(), time.Now().Add(most)
	for _, tid := range tids {
		for tid != 0 && unix.Tgkill(pid, int(tid), 0) == nil && time.Now().Before(deadline) { // signal 0 is not sent
			time.Sleep(interval)
		}
	}
}

// makeThreads creates threads that wait while *gate is closed, and then end. It writes
// their ids to tids. With some flags the kernel uses the words cleared. The goroutine
// keeps its P meanwhile, with all signals blocked, so makeThreads does not wait for
// anything. It is one assembly function (threadroom_linux_*.s), which the runtime does
// not interrupt: runtime.LockOSThread may itself need another thread.
//
//go:noescape
func makeThreads(flags uintptr, cleared *[room]uint32, tids *[room]int32, gate *atomic.Uint32, closed uint32) syscall.Errno
