//go:build linux && (amd64 || arm64)

package core_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image/core/coretest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// The test binary is also the program of which the tests take cores: it parks
// goroutines, keeps one running, prints the addresses of variables, and waits, or dies
// of a nil pointer.
const programEnv = "ONESHOT_TEST_PARKED"

func TestMain(m *testing.M) {
	if how := os.Getenv(programEnv); how != "" {
		parked(how)
	}
	os.Exit(m.Run())
}

// written is in memory that the program writes. Its value in the file is another.
var written = [4]uint64{1, 2, 3, 4}

// constant is in memory that the program only reads.
const constant = "a text in the read-only data of the program"

var constants = [...]string{constant}

var spinning atomic.Int64

//go:noinline
func spin() {
	for {
		spinning.Add(1)
	}
}

//go:noinline
func parkOn(c chan int) { <-c }

func parked(how string) {
	coretest.AllowWrite()
	time.AfterFunc(4*testwait.Patience, func() { os.Exit(1) }) // whatever became of the test
	runtime.GOMAXPROCS(4)
	for i := range written {
		written[i] = 0x1122334455667788
	}
	for range 5 {
		go parkOn(make(chan int))
	}
	go spin()
	for spinning.Load() == 0 {
		runtime.Gosched()
	}
	where := fmt.Sprintf("%d %d", uintptr(unsafe.Pointer(&written)), uintptr(unsafe.Pointer(unsafe.StringData(constants[0]))))
	if err := os.WriteFile(os.Getenv(addressesEnv), []byte(where), 0o600); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	if how == "crash" {
		debug.SetTraceback("crash")
		var p *int
		*p = 1
	}
	select {}
}

// addressesEnv names the file for the addresses.
const addressesEnv = "ONESHOT_TEST_PARKED_ADDRESSES"

// program is the command that runs the program. addresses returns those of written and
// of the bytes of constant.
func program(t testing.TB, how string, args ...string) (cmd *exec.Cmd, addresses func() (written, constant uint64)) {
	file := filepath.Join(t.TempDir(), "addresses")
	cmd = testwait.Command(t, self(t), args...)
	cmd.Env = append(os.Environ(), programEnv+"="+how, addressesEnv+"="+file)
	return cmd, func() (written, constant uint64) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = fmt.Sscan(string(text), &written, &constant)
		require.NoError(t, err)
		return written, constant
	}
}

func self(t testing.TB) string {
	path, err := os.Executable()
	require.NoError(t, err)
	path, err = filepath.EvalSymlinks(path)
	require.NoError(t, err)
	return path
}
