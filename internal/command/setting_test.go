package command

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestASettingIsRestoredAfterItsTime(t *testing.T) {
	before := mutexFractionValue()
	t.Cleanup(func() { require.NoError(t, setMutexFraction(before)) })
	c := newClient(t)
	require.Equal(t, "mutex profile fraction was 0 (off), is 5, and will be 0 again in 50ms\n", c.do("mutexfraction 5 -for 50ms"))
	testwait.Eventually(t, func() bool { return runtime.SetMutexProfileFraction(-1) == 0 }, "the old value is not set again")
	require.Empty(t, c.s.changed, "it is put back by itself")

	// If somebody sets another value meanwhile, that value is kept.
	c.do("mutexfraction 5 -for 50ms")
	c.do("mutexfraction 9 -for 1h")
	c.do("mutexfraction 7 -for 20ms")
	testwait.Eventually(t, func() bool { return runtime.SetMutexProfileFraction(-1) == 9 }, "the value before is not set again")
}

func TestWrongTimesAreRefused(t *testing.T) {
	c := newClient(t)
	for line, says := range map[string]string{
		"setgc -for":            "setgc: -for needs a time behind it, such as 10m\n",
		"setgc -for 10m":        "setgc: give a value before -for\n",
		"setgc 50 -for soon":    `setgc: -for "soon": give a time such as 30s, 10m or 1h, at most 24h0m0s` + "\n",
		"setgc 50 -for -1s":     `setgc: -for "-1s": give a time such as 30s, 10m or 1h, at most 24h0m0s` + "\n",
		"setgc 50 -for 25h":     `setgc: -for "25h": give a time such as 30s, 10m or 1h, at most 24h0m0s` + "\n",
		"memlimit 1GiB -for 9x": `memlimit: -for "9x": give a time such as 30s, 10m or 1h, at most 24h0m0s` + "\n",
	} {
		require.Equal(t, says, c.do(line), line)
	}
	require.Equal(t, "GOGC is 100\n", c.do("setgc"))
}

// Every value that a setting shows as the old one can be set again.
func TestOldValuesCanBeSetAgain(t *testing.T) {
	c := newClient(t)
	for _, test := range []struct{ typed, after string }{
		{"setgc 55", "setgc 55"}, {"memlimit 3GiB", "memlimit 3221225472B"}, {"maxprocs 1", "maxprocs 1"},
		{"mutexfraction 3", "mutexfraction 3"}, {"blockrate 4", "blockrate 4"}, {"blockrate 5", "blockrate 5"},
	} {
		c.do(test.typed)
		last := c.s.changed[len(c.s.changed)-1]
		require.Equal(t, test.after, last.After)
		if last.Before != "not known" { // the runtime does not tell the rate before the first one that is set
			require.Contains(t, c.do(last.Before), " was ")
		}
	}
	c.do("blockrate 0")
}
