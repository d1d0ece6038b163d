package procfs

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func needProc(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("needs the /proc of Linux")
	}
}

func TestStatusOfThisProcess(t *testing.T) {
	needProc(t)
	status, err := ReadStatus("/proc/self")
	require.NoError(t, err)
	caught, err := status.Mask("SigCgt")
	require.NoError(t, err)
	require.NotZero(t, caught&(1<<(23-1)), "the runtime catches SIGURG for preemption")
	_, err = status.Mask("Name")
	require.ErrorContains(t, err, "Name")
	_, err = status.Mask("NoSuchLine")
	require.ErrorContains(t, err, "NoSuchLine")
}

func TestStartTimeOfThisProcess(t *testing.T) {
	needProc(t)
	self, err := StartTime("/proc/self")
	require.NoError(t, err)
	parent, err := StartTime("/proc/1")
	require.NoError(t, err)
	require.Greater(t, self, parent)
}

func TestStartTimeWithAnyName(t *testing.T) {
	rest := " S" + strings.Repeat(" 7", 18) + " 4321 1 2 3\n"
	for _, name := range []string{"cat", "a b", "a) R 1", ")", ""} {
		ticks, err := parseStartTime([]byte("12 (" + name + ")" + rest))
		require.NoError(t, err, name)
		require.EqualValues(t, 4321, ticks, name)
	}
}

func TestResidentBytesOfThisProcess(t *testing.T) {
	needProc(t)
	resident, err := ResidentBytes("/proc/self")
	require.NoError(t, err)
	require.Greater(t, resident, uint64(1<<20))
}

func TestSchedstatCountsRuns(t *testing.T) {
	needProc(t)
	s, err := OpenSchedstat("/proc/self")
	if os.IsNotExist(err) {
		t.Skip("this kernel keeps no schedstat (CONFIG_SCHED_INFO)")
	}
	require.NoError(t, err)
	defer s.Close()
	first, err := s.Runs()
	require.NoError(t, err)
	require.NotZero(t, first)
}

func TestGarbageIsAnError(t *testing.T) {
	for _, text := range []string{"", "1", "a b c", "(((", "1 2 x"} {
		_, err := parseStartTime([]byte(text))
		require.Error(t, err, text)
		_, err = parseRuns([]byte(text))
		require.Error(t, err, text)
	}
	_, err := parseResident([]byte("1 x"), 4096)
	require.Error(t, err)
}

func FuzzParsers(f *testing.F) {
	if runtime.GOOS == "linux" {
		for _, name := range []string{"status", "stat", "statm", "schedstat"} {
			if text, err := os.ReadFile("/proc/self/" + name); err == nil {
				f.Add(text)
			}
		}
	}
	f.Add([]byte("1 (a) b) S 1 2"))
	f.Fuzz(func(t *testing.T, text []byte) {
		// The text comes from the kernel, so any result will do. But the parsers must
		// not panic.
		status := parseStatus(string(text))
		_, _ = status.Mask("SigBlk")
		_, _ = parseStartTime(text)
		_, _ = parseResident(text, 4096)
		_, _ = parseRuns(text)
	})
}
