package command

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// holdThread locks a thread until the test ends. The thread blocks the given signals
// and waits in a pipe.
func holdThread(t *testing.T, set unix.Sigset_t) (tid int) {
	t.Helper()
	var pipe [2]int
	require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	ready, ended := make(chan int, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked, so the thread ends with the goroutine
		_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil)
		ready <- unix.Gettid()
		var b [1]byte
		_, _ = unix.Read(pipe[0], b[:])
	}()
	t.Cleanup(func() {
		unix.Close(pipe[1])
		testwait.Receive(t, ended, "the thread to end")
		unix.Close(pipe[0])
	})
	return testwait.Receive(t, ready, "the thread to begin")
}

func rowOfThread(c client, tid int) string {
	return regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d  .*$`, tid)).FindString(c.do("threads -n 0"))
}

func TestThreadsShowsWhatAThreadDoes(t *testing.T) {
	var usr2, all unix.Sigset_t
	usr2.Val[0] = 1 << (unix.SIGUSR2 - 1)
	one := holdThread(t, usr2)
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	all.Val[0] &^= 1<<(unix.SIGUSR1-1) | 1<<(unix.SIGHUP-1)
	most := holdThread(t, all)
	none := holdThread(t, unix.Sigset_t{})

	c := newClient(t)
	reads := regexp.MustCompile(`S sleeping +\d+\.\d\ds +\d+\.\d\ds +\d+  \w*pipe_read +\S+, blocks SIGUSR2$`)
	testwait.Eventually(t, func() bool { return reads.MatchString(rowOfThread(c, one)) }, "thread %d does not sleep in its read", one)
	require.Regexp(t, `, blocks all but SIGHUP,SIGUSR1,?(SIG3[23],?)*$`, rowOfThread(c, most))
	require.NotContains(t, rowOfThread(c, none), "blocks", "it blocks what most do")
	require.Contains(t, c.do("threads -n 0"), ", the runtime's thread for signals\n")
}

func TestThreadsCountsAndSorts(t *testing.T) {
	for end := time.Now().Add(150 * time.Millisecond); time.Now().Before(end); { // CPU time is the subject
	}
	c := newClient(t)
	out := c.do("threads -n 1")
	require.Regexp(t, `^\d+ threads: (\d+ \w+, )*\d+ sleeping\b.*\nthey wait in: .*\n +tid +state .*\n *\d+  \w .*\n\d+ more: threads -n 0\n$`, out)

	var times []float64
	rows := 0
	for line := range strings.Lines(c.do("threads")) {
		if m := regexp.MustCompile(`^ *\d+  . .*? (\d+\.\d\d)s +(\d+\.\d\d)s `).FindStringSubmatch(line); m != nil {
			var user, system float64
			_, err := fmt.Sscan(m[1]+" "+m[2], &user, &system)
			require.NoError(t, err)
			times = append(times, user+system)
			rows++
		}
	}
	require.Greater(t, rows, 1)
	require.Positive(t, times[0])
	for i := range times[1:] {
		require.GreaterOrEqual(t, times[i]+0.001, times[i+1])
	}
	require.NotEmpty(t, rowOfThread(c, os.Getpid()))
}

func TestThreadsRefusesWrongArguments(t *testing.T) {
	c := newClient(t)
	require.Equal(t, "threads: -n -1: give the number of threads, 0 for all\n", c.do("threads -n -1"))
	require.Equal(t, "threads: it takes no \"x\"; threads -n 0 shows all\n", c.do("threads x"))
}

func TestSetsAreCompact(t *testing.T) {
	for want, set := range map[string]sigset.Set{
		"none":                   0,
		"SIGUSR1,SIGUSR2":        sigset.Of(syscall.SIGUSR1, syscall.SIGUSR2),
		"all":                    ^neverBlockable,
		"all but SIGHUP,SIGTERM": ^neverBlockable &^ sigset.Of(syscall.SIGHUP, syscall.SIGTERM),
	} {
		require.Equal(t, want, compactSet(set))
	}
}

func TestTheMostFrequentMask(t *testing.T) {
	require.Zero(t, mostFrequent(nil))
	require.EqualValues(t, 3, mostFrequent(map[int]sigset.Set{1: 7, 2: 3, 3: 3, 4: 0}))
	for range 20 { // the result must not depend on the order of the map
		require.EqualValues(t, 3, mostFrequent(map[int]sigset.Set{1: 7, 2: 3}))
	}
}
