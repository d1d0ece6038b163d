//go:build linux || darwin || freebsd

package command

import (
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/vitals"
)

// keepSettings restores the settings that the tests here change.
func keepSettings(t *testing.T) {
	gc := debug.SetGCPercent(100)
	limit := debug.SetMemoryLimit(math.MaxInt64)
	procs := runtime.GOMAXPROCS(3)
	fraction := runtime.SetMutexProfileFraction(0)
	forgetBlockRate := func() {
		blockRate.mu.Lock()
		defer blockRate.mu.Unlock()
		runtime.SetBlockProfileRate(0)
		blockRate.known, blockRate.rate = false, 0
	}
	forgetBlockRate()
	t.Cleanup(func() {
		debug.SetGCPercent(gc)
		debug.SetMemoryLimit(limit)
		runtime.GOMAXPROCS(procs)
		runtime.SetMutexProfileFraction(fraction)
		forgetBlockRate()
	})
}

func TestSettingsShowTheOldAndTheNewValue(t *testing.T) {
	keepSettings(t)
	c := newClient(t)
	for _, test := range []struct{ line, answer string }{
		{"setgc", "GOGC is 100\n"},
		{"setgc 50", "GOGC was 100, is 50\n"},
		{"setgc", "GOGC is 50\n"},
		{"setgc off", "GOGC was 50, is off\nnothing collects garbage now, because there is no memory limit: memlimit BYTES sets one, and setgc 100 is the default\n"},
		{"memlimit", "memory limit is off\n"},
		{"memlimit 1.5TiB", "memory limit was off, is 1.50 TiB (1649267441664B)\n"},
		{"setgc off", "GOGC was off, is off\n"},
		{"setgc 1000000", "GOGC was off, is 1000000\n"},
		{"memlimit 8 gb", "memory limit was 1.50 TiB (1649267441664B), is 7.45 GiB (8000000000B)\n"},
		{"memlimit 8000000001B", "memory limit was 7.45 GiB (8000000000B), is 7.45 GiB (8000000001B)\n"},
		{"memlimit off", "memory limit was 7.45 GiB (8000000001B), is off\n"},
		{"maxprocs", "GOMAXPROCS is 3\n"},
		{"maxprocs 2", "GOMAXPROCS was 3, is 2\n"},
		{"blockrate", "block profile rate is not known\n"},
		{"blockrate 10000", "block profile rate was not known, is 10000\n"},
		{"blockrate 0", "block profile rate was 10000, is 0 (off)\n"},
		{"mutexfraction", "mutex profile fraction is 0 (off)\n"},
		{"mutexfraction 5", "mutex profile fraction was 0 (off), is 5\n"},
		{"mutexfraction 0", "mutex profile fraction was 5, is 0 (off)\n"},
	} {
		require.Equal(t, test.answer, c.do(test.line), test.line)
	}
}

func TestSettingsReachTheRuntime(t *testing.T) {
	keepSettings(t)
	c := newClient(t)
	c.do("setgc 70")
	require.Equal(t, 70, debug.SetGCPercent(100))
	c.do("setgc off")
	require.Equal(t, -1, debug.SetGCPercent(100))
	c.do("memlimit 2GiB")
	require.Equal(t, int64(2<<30), debug.SetMemoryLimit(-1))
	c.do("memlimit off")
	require.Equal(t, int64(math.MaxInt64), debug.SetMemoryLimit(-1))
	c.do("maxprocs 5")
	require.Equal(t, 5, runtime.GOMAXPROCS(0))
	c.do("mutexfraction 9")
	require.Equal(t, 9, runtime.SetMutexProfileFraction(-1))

	runtime.SetDefaultGOMAXPROCS()
	usual := runtime.GOMAXPROCS(usualAnd(1))
	require.Equal(t, fmt.Sprintf("GOMAXPROCS was %d, is %d\n", usual+1, usual), c.do("maxprocs default"))
	require.Equal(t, usual, runtime.GOMAXPROCS(0))
}

func usualAnd(n int) int { return runtime.GOMAXPROCS(0) + n }

func TestWarningOfALimitBelowTheUsage(t *testing.T) {
	keepSettings(t)
	runtime.GC() // otherwise nothing may be known to be live
	c := newClient(t)
	require.Regexp(t, `^memory limit was off, is 1\.00 MiB \(1048576B\)\nthe program has [\d.]+ MiB, of which [\d.]+ [MK]iB is live: `+
		`the collector may run all the time; memlimit off ends that\n$`, c.do("memlimit 1MiB"))
}

// TestNothingIsSaidOfWhatIsLiveBeforeTheFirstCollection has a program that has just begun.
func TestNothingIsSaidOfWhatIsLiveBeforeTheFirstCollection(t *testing.T) {
	s := vitals.Sample{FromSystem: 2 << 20, Limit: 1 << 20}
	require.Equal(t, "the program has 2.00 MiB: the collector may run all the time; memlimit off ends that", noteLimitOf(s))
	s.LiveHeap = 1 << 10
	require.Contains(t, noteLimitOf(s), "the program has 2.00 MiB, of which 1.00 KiB is live: ")
}

func TestSettingsRefuseWrongValues(t *testing.T) {
	keepSettings(t)
	c := newClient(t)
	const (
		percent  = "give a number from 1 to 1000000, or off\n"
		bounds   = "give a limit from 1MiB to 1024TiB, or off\n"
		procs    = "give a number from 1 to 4096, or default\n"
		rate     = "give a number from 0 to 1000000000 (nanoseconds; 0 is off)\n"
		fraction = "give a number from 0 to 1000000000 (0 is off)\n"
		number   = "give a number and a unit, such as 1.5GiB, or off\n"
	)
	for _, test := range []struct{ line, answer string }{
		{"setgc 0", "setgc: with 0 the collector would run all the time; setgc off turns it off\n"},
		{"setgc -1", `setgc: "-1": ` + percent},
		{"setgc 1000001", `setgc: "1000001": ` + percent},
		{"setgc 50 %", `setgc: "50 %": ` + percent},
		{"setgc ''", `setgc: "": ` + percent},
		{"memlimit 512", `memlimit: "512": ` + bounds},
		{"memlimit 0.9MiB", `memlimit: "0.9MiB": ` + bounds},
		{"memlimit 1024.1TiB", `memlimit: "1024.1TiB": ` + bounds},
		{"memlimit 99999999999999999999TiB", `memlimit: "99999999999999999999TiB": ` + bounds},
		{"memlimit 1G", `memlimit: "1G": there is no unit "G"; give B, KB, MB, GB, TB, KiB, MiB, GiB or TiB` + "\n"},
		{"memlimit -1", `memlimit: "-1": ` + number},
		{"memlimit 1e9B", `memlimit: "1e9B": ` + number},
		{"memlimit 1/2GiB", `memlimit: "1/2GiB": ` + number},
		{"memlimit .5GiB", `memlimit: ".5GiB": ` + number},
		{"memlimit none", `memlimit: "none": ` + number},
		{"maxprocs 0", `maxprocs: "0": ` + procs},
		{"maxprocs 4097", `maxprocs: "4097": ` + procs},
		{"maxprocs all", `maxprocs: "all": ` + procs},
		{"blockrate -1", `blockrate: "-1": ` + rate},
		{"blockrate off", `blockrate: "off": ` + rate},
		{"mutexfraction -1", `mutexfraction: "-1": ` + fraction},
		{"mutexfraction 1000000001", `mutexfraction: "1000000001": ` + fraction},
		{"freeosmem now", "it takes no arguments, but got \"now\"; help says more\n"},
	} {
		require.Equal(t, test.answer, c.do(test.line), test.line)
	}
	require.Equal(t, "GOGC is 100\n", c.do("setgc"))
	require.Equal(t, "memory limit is off\n", c.do("memlimit"))
	require.Equal(t, "GOMAXPROCS is 3\n", c.do("maxprocs"))
	require.Equal(t, "block profile rate is not known\n", c.do("blockrate"))
}

func TestBytesOfALimit(t *testing.T) {
	for value, want := range map[string]int64{
		"1MiB": 1 << 20, "1048576": 1 << 20, "1048576b": 1 << 20, "2000KB": 2e6, "2048KiB": 2 << 20, "1.5MB": 15e5,
		"3GB": 3e9, "0.25gib": 1 << 28, "1TB": 1e12, "1024TiB": 1 << 50, "1.0000001MiB": 1 << 20,
		"9007199254740.993KB": 0, "1125899906842.623KB": 1<<50 - 1,
	} {
		n, err := parseLimit(value)
		require.Equal(t, want, n, value)
		require.Equal(t, want == 0, err != nil, value)
	}
}

func TestFreedMemoryGoesToTheSystem(t *testing.T) {
	c := newClient(t)
	block := make([]byte, 64<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	runtime.KeepAlive(block)
	block = nil
	before := vitals.Read()
	require.Regexp(t, `^it took [\d.]+[µm]?s\nheap in use  was .*iB, is .*iB\nfrom system  was .*iB, is .*iB\nresident     was .*, is .*\n$`, c.do("freeosmem"))
	require.Less(t, vitals.Read().InUse()+32<<20, before.InUse())
}
