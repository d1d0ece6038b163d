//go:build amd64 || arm64

package threadroom

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

const limitedEnv = "ONESHOT_TEST_LIMITED"

// TestMain also runs the program that may have no more threads.
func TestMain(m *testing.M) {
	if os.Getenv(limitedEnv) != "" {
		limited()
	}
	os.Exit(m.Run())
}

// limited prints what Check returns in a process that may create no more threads.
func limited() {
	var before unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NPROC, &before)
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 0, Max: before.Max})
	}
	if err == nil {
		err = Check()
	}
	_ = unix.Setrlimit(unix.RLIMIT_NPROC, &before) // the runtime may want a thread
	fmt.Println(errors.Is(err, unix.EAGAIN), err)
	os.Exit(0)
}

func TestThereIsRoom(t *testing.T) {
	before := threads(t)
	for range 20 {
		require.NoError(t, Check())
	}
	testwait.Eventually(t, func() bool { return threads(t) <= before+2 }, "the threads do not end") // the runtime may have started some
}

// TestNothingIsWaitedForWithSignalsBlocked requires that letThrough does not leave its CPU to
// wait, since its goroutine keeps a P meanwhile and cannot be preempted.
func TestNothingIsWaitedForWithSignalsBlocked(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	waits := func() int64 {
		var usage unix.Rusage
		require.NoError(t, unix.Getrusage(unix.RUSAGE_THREAD, &usage))
		return usage.Nvcsw
	}
	const rounds = 100
	var waited int64
	for range rounds {
		before := waits()
		tids, errno := letThrough()
		waited += waits() - before
		require.Zero(t, errno)
		require.NotContains(t, tids, int32(0))
		awaitEnd(tids[:])
	}
	require.Less(t, waited, int64(rounds/2), "voluntary context switches") // a few wait for a lock of the kernel
}

// TestTheProgramsOwnLimit is about debug.SetMaxThreads.
func TestTheProgramsOwnLimit(t *testing.T) {
	limit := maxThreads()
	require.Equal(t, limit, maxThreads(), "it is kept")
	require.NoError(t, Check())
	own := runtimeThreads() + room - 1
	defer debug.SetMaxThreads(debug.SetMaxThreads(own))
	err := Check()
	require.ErrorContains(t, err, fmt.Sprintf("of at most %d threads", own))
	require.ErrorContains(t, err, "raise debug.SetMaxThreads")
	require.Equal(t, own, maxThreads())
}

// TestALimitThatIsSetMeanwhileIsKept has the program set its limit while Check looks.
func TestALimitThatIsSetMeanwhileIsKept(t *testing.T) {
	defer debug.SetMaxThreads(maxThreads())
	var over atomic.Bool
	var checks sync.WaitGroup
	defer checks.Wait()
	defer over.Store(true)
	checks.Go(func() {
		for !over.Load() {
			lock.Lock()
			maxThreads()
			lock.Unlock()
		}
	})
	for n := 20_000; n < 40_000; n++ {
		debug.SetMaxThreads(n)
		lock.Lock() // Check does not look now
		got := debug.SetMaxThreads(n)
		lock.Unlock()
		require.Equal(t, n, got)
	}
}

// BenchmarkHeld reports how long a P is held with signals blocked.
func BenchmarkHeld(b *testing.B) {
	var all []time.Duration
	for b.Loop() {
		began := time.Now()
		tids, _ := letThrough()
		all = append(all, time.Since(began))
		awaitEnd(tids[:])
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "median-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(all[len(all)-1].Microseconds()), "worst-µs")
}

func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	return len(tasks)
}

func TestSessionsMayCheckAtTheSameTime(t *testing.T) {
	var group sync.WaitGroup
	errs := make(chan error, 8)
	for range cap(errs) {
		group.Go(func() {
			for range 50 {
				if err := Check(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	testwait.Group(t, &group, "the checks")
	require.Empty(t, errs)
}

func TestTheSignalMaskIsKept(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mask := func(how int, set uint64) (before uint64) {
		_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, uintptr(how),
			uintptr(unsafe.Pointer(&set)), uintptr(unsafe.Pointer(&before)), 8, 0, 0)
		require.Zero(t, errno)
		return before
	}
	usr1 := uint64(1) << (syscall.SIGUSR1 - 1)
	original := mask(unix.SIG_BLOCK, usr1)
	defer mask(unix.SIG_SETMASK, original)
	require.Zero(t, original&usr1, "the mask of a thread on which another test has checked")
	require.NoError(t, Check())
	require.Equal(t, original|usr1, mask(unix.SIG_SETMASK, original|usr1))
}

// TestThereIsNoRoom starts a program with a limit. The limit does not apply to root, so
// root starts it as another user.
func TestThereIsNoRoom(t *testing.T) {
	program := os.Args[0]
	cmd := testwait.Command(t, program)
	if os.Geteuid() == 0 {
		program = readableCopy(t)
		cmd = testwait.Command(t, program)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), limitedEnv+"=1")
	out, err := cmd.CombinedOutput()
	if e := (*exec.ExitError)(nil); err != nil && !errors.As(err, &e) {
		t.Skipf("needs to start a program as another user: %v", err)
	}
	require.NoError(t, err, "%s", out)
	require.True(t, strings.HasPrefix(string(out), "true "), "%s", out)
	require.Contains(t, string(out), "--nproc=")
}

// readableCopy returns a copy of the test program that every user may run.
func readableCopy(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	dir := testwait.TempDir(t)
	require.NoError(t, os.Chmod(dir, 0o755))
	name := dir + "/program"
	require.NoError(t, os.WriteFile(name, text, 0o755))
	require.NoError(t, os.Chmod(name, 0o755)) // the umask may have removed permissions
	return name
}
