package vitals

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// The vital signs of another process are what it would find itself.
func TestAnotherProcess(t *testing.T) {
	p, err := procfs.Another(os.Getpid())
	require.NoError(t, err)
	defer p.Close()
	a := Another{os.Getpid(), p}
	own := ReadUsage()
	s, memory, err := a.Read()
	require.NoError(t, err)
	require.LessOrEqual(t, s.Procs, runtime.NumCPU())
	require.NotZero(t, s.Procs)
	require.NotZero(t, s.Threads)
	require.Greater(t, memory.Resident, uint64(1<<20))
	require.GreaterOrEqual(t, memory.Peak, memory.Resident)
	const tick = 10 * time.Millisecond // of the stat file
	require.GreaterOrEqual(t, s.Usage.User+s.Usage.System, own.User+own.System-tick)
	require.InDelta(t, float64(ReadUsage().User), float64(s.Usage.User), float64(3*tick))

	often, _, err := a.ReadOften()
	require.NoError(t, err)
	require.Zero(t, often.Procs)
	require.NotZero(t, often.Threads)
	require.GreaterOrEqual(t, often.Usage.User, s.Usage.User)

	d, err := a.Descriptors()
	require.NoError(t, err)
	mine, err := ReadDescriptors()
	require.NoError(t, err)
	require.Equal(t, mine, d)
	kinds, err := a.Kinds()
	require.NoError(t, err)
	require.NotEmpty(t, kinds)
}

// TestTheCPUsThatAProcessCanUse are fewer than those of the machine if somebody says so.
func TestTheCPUsThatAProcessCanUse(t *testing.T) {
	for _, row := range []struct {
		environ string
		limit   float64
		want    int
	}{
		{"A=1", 0, 8},
		{"A=1 GOMAXPROCS=3", 0, 3},
		{"GOMAXPROCS=3 GOMAXPROCS=4", 0, 3},
		{"GOMAXPROCS=64", 0, 8},
		{"GOMAXPROCS=0", 0, 8},
		{"GOMAXPROCS=x GOMAXPROCS=4", 0, 8},
		{"XGOMAXPROCS=3", 0, 8},
		{"", 1.5, 2},
		{"", 0.1, 1},
		{"", 64, 8},
		{"", math.Inf(1), 8},
		{"GOMAXPROCS=4", 2, 4}, // the runtime does not ask for the limit
	} {
		require.Equal(t, row.want, usable(8, strings.Fields(row.environ), row.limit), "%+v", row)
	}

	cmd := testwait.Command(t, "sleep", "1000")
	cmd.Env = []string{"GOMAXPROCS=1"}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p, err := procfs.Another(cmd.Process.Pid)
	require.NoError(t, err)
	defer p.Close()
	s, _, err := Another{cmd.Process.Pid, p}.Read()
	require.NoError(t, err)
	require.Equal(t, 1, s.Procs)
}

// TestUserTimeIsAtMostAll of the CPU time: of another process, it is known less exactly.
func TestUserTimeIsAtMostAll(t *testing.T) {
	now := time.Now()
	_, user := CPUs(Usage{At: now}, Usage{At: now.Add(time.Second), User: 110 * time.Millisecond, System: -10 * time.Millisecond})
	require.Equal(t, 1.0, user)
}

// Less than a tick is seen: the clock of the process is exact.
func TestCPUTimeOfAnotherProcessIsExact(t *testing.T) {
	a := Another{os.Getpid(), &procfs.Process{Dir: fmt.Sprintf("/proc/%d", os.Getpid())}}
	before, err := a.usage()
	require.NoError(t, err)
	seen := make(map[time.Duration]bool)
	deadline := time.Now().Add(testwait.Patience)
	for len(seen) < 20 {
		require.True(t, time.Now().Before(deadline), "timeout, waited for: 20 values of the CPU time; saw %d", len(seen))
		now, err := a.usage()
		require.NoError(t, err)
		seen[now.User+now.System] = true
		require.GreaterOrEqual(t, now.User+now.System, before.User+before.System)
		before = now
	}
}

// TestCPUsThatAreNotThere: in a virtual machine, the mask of the status file also has those
// that it could get later.
func TestCPUsThatAreNotThere(t *testing.T) {
	process, err := procfs.Another(os.Getpid())
	require.NoError(t, err)
	defer process.Close()
	a := Another{os.Getpid(), process}
	n := a.cpus(strings.Repeat("ffffffff,", 31) + "ffffffff")
	require.Positive(t, n)
	require.LessOrEqual(t, n, runtime.NumCPU())
}

func TestAProcessThatHasEnded(t *testing.T) {
	cmd := testwait.Command(t, "true")
	require.NoError(t, cmd.Run())
	a := Another{cmd.Process.Pid, &procfs.Process{Dir: fmt.Sprintf("/proc/%d", cmd.Process.Pid)}}
	_, _, err := a.Read()
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = a.Kinds()
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestValuesOfTheStatusFile(t *testing.T) {
	require.Equal(t, 34, countCPUs("3,ffffffff"))
	require.Zero(t, countCPUs("x"))
	require.EqualValues(t, 12<<10, kilobytes("12 kB"))
	require.Zero(t, kilobytes(""))
	require.Zero(t, kilobytes("99999999999999999999 kB"))
}
