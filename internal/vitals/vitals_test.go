package vitals

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestBytes(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1536: "1.50 KiB", 10 << 10: "10.0 KiB", 1<<20 - 1: "1.00 MiB",
		123 << 20: "123 MiB", 1023 << 20: "1023 MiB", 5 << 30: "5.00 GiB", 1<<64 - 1: "16.0 EiB",
	} {
		require.Equal(t, want, Bytes(n), n)
	}
}

func TestSampleIsOfThisProcess(t *testing.T) {
	runtime.GC()
	sum := 0
	compute := func() {
		for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
			sum++
		}
	}
	before := Read()
	compute()
	after := Read()
	require.NotZero(t, sum)
	require.NotZero(t, after.Goroutines)
	require.NotZero(t, after.Threads)
	require.NotZero(t, after.LiveHeap)
	require.Greater(t, after.InUse(), after.HeapObjects)
	require.Equal(t, uint64(NoLimit), after.Limit)
	require.Equal(t, runtime.GOMAXPROCS(0), after.Procs)
	if runtime.GOOS != "windows" {
		// On a busy machine, this thread may not have run on a CPU yet.
		deadline := time.Now().Add(testwait.Patience)
		busy, user := CPUs(before.Usage, after.Usage)
		for ; busy <= 0 || user <= 0; busy, user = CPUs(before.Usage, Read().Usage) {
			require.Truef(t, time.Now().Before(deadline), "timeout, waited for: CPU time; busy %v, user %v", busy, user)
			compute()
		}
	}
}

func TestLongestStop(t *testing.T) {
	before := ReadStops()
	require.Zero(t, ReadStops().Longest(before))
	runtime.Stack(make([]byte, 1<<20), true)
	require.Positive(t, ReadStops().Longest(before))
}

func TestDescriptorsAreCounted(t *testing.T) {
	before, err := ReadDescriptors()
	if err != nil {
		t.Skip("this system does not list the open descriptors:", err)
	}
	for range 10 {
		f, err := os.Open(os.DevNull)
		require.NoError(t, err)
		defer f.Close()
	}
	after, err := ReadDescriptors()
	require.NoError(t, err)
	require.Equal(t, before.Open+10, after.Open)
	require.Positive(t, after.Limit)
	if runtime.GOOS == "linux" {
		kinds, err := ReadKinds()
		require.NoError(t, err)
		require.Equal(t, Kind{os.DevNull, 10 + devNulls(kinds)}, kinds[0])
	}
}

// devNulls returns the number of descriptors of /dev/null beside the ten of the test.
func devNulls(kinds []Kind) int {
	for _, k := range kinds {
		if k.Name == os.DevNull {
			return k.Count - 10
		}
	}
	return 0
}

func TestKindOf(t *testing.T) {
	for target, kind := range map[string]string{
		"socket:[123]": "socket", "pipe:[4]": "pipe", "anon_inode:[eventfd]": "anon_inode", "/dev/null": "/dev/null",
		"/var/lib/x/7.log": "files in /var/lib/x/", "/tmp/a (deleted)": "files in /tmp/", "/": "files in /",
	} {
		require.Equal(t, kind, kindOf(target), target)
	}
}
