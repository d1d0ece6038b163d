package vitals

import (
	"fmt"
	"os"
	"runtime"
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
	require.Equal(t, runtime.NumCPU(), s.Procs)
	require.NotZero(t, s.Threads)
	require.Greater(t, memory.Resident, uint64(1<<20))
	require.GreaterOrEqual(t, memory.Peak, memory.Resident)
	const tick = 10 * time.Millisecond // of the stat file
	require.GreaterOrEqual(t, s.Usage.User+s.Usage.System, own.User+own.System-tick)
	require.InDelta(t, float64(ReadUsage().User), float64(s.Usage.User), float64(3*tick))

	d, err := a.Descriptors()
	require.NoError(t, err)
	mine, err := ReadDescriptors()
	require.NoError(t, err)
	require.Equal(t, mine, d)
	kinds, err := a.Kinds()
	require.NoError(t, err)
	require.NotEmpty(t, kinds)
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
