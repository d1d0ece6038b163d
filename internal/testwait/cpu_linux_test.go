package testwait

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// More goroutines compute on one CPU than it has, so none has it all the time.
func TestTheShareOfTheCPU(t *testing.T) {
	var stop atomic.Bool
	var begun atomic.Int32
	share := CPUOf(os.Getpid())
	var all, one unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &all))
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	for range 8 {
		go func() {
			runtime.LockOSThread() // the thread ends with the goroutine
			_ = unix.SchedSetaffinity(0, &one)
			begun.Add(1)
			for !stop.Load() { // the loop spins
			}
		}()
	}
	defer stop.Store(true)
	Eventually(t, func() bool { return begun.Load() >= 2 }, "two goroutines do not begin")
	Eventually(t, func() bool { return share() < 0.9 }, "the threads do not wait: %v", share())
	require.Positive(t, share())
}

func TestLooksEndWithAFailureOrASkip(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		tries   int
		found   bool
		share   float64
		skipped bool
		failed  bool
	}{
		{"found", 1000, true, 0, false, false},
		{"not found, and the program had a CPU", 3, false, 0.5, false, true},
		{"not found, and the program had none", 1, false, 0.1, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := &skipping{failing: failing{TB: t}}
			n := 0
			done := make(chan struct{})
			go func() { // FailNow ends the goroutine
				defer close(done)
				looks(f, test.tries, some, time.Millisecond, func() (bool, float64) { n++; return test.found, test.share }, "it is not there")
			}()
			Receive(t, done, "the end of the looks")
			if test.failed {
				require.Equal(t, test.tries, n)
			}
			require.Equal(t, test.skipped, f.skipped)
			require.Equal(t, test.failed, f.text != "", f.text)
		})
	}
}

// skipping also keeps that the test was skipped.
type skipping struct {
	failing
	skipped bool
}

func (s *skipping) Skipf(string, ...any) {
	s.skipped = true
	runtime.Goexit()
}
