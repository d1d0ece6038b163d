//go:build amd64 || arm64

package threadroom

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

const limitedEnv = "ONESHOT_TEST_LIMITED"

// TestMain is also the entry of the program that may have no more threads.
func TestMain(m *testing.M) {
	if os.Getenv(limitedEnv) != "" {
		limited()
	}
	os.Exit(m.Run())
}

// limited prints what Check returns where the process may have no more threads.
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

func TestTheSignalMaskStays(t *testing.T) {
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

// TestThereIsNoRoom starts a program that has a limit. The limit does not hold for root, so
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
	require.NoError(t, os.Chmod(name, 0o755)) // whatever the umask is
	return name
}
