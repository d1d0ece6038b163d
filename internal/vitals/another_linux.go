package vitals

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/procfs"
)

// Another is another process. Its vital signs come from /proc. What only its runtime
// knows, such as the size of its heap, is missing.
type Another struct {
	PID     int
	Process *procfs.Process
}

// Memory is the memory of a process as the kernel sees it, in bytes.
type Memory struct {
	Resident uint64 // in RAM
	Peak     uint64 // the most that was in RAM so far
	Swapped  uint64
}

// Read takes a sample. It has the CPU time, the number of threads, and in Procs the
// number of CPUs that the process can use; see cpus.
func (a Another) Read() (Sample, Memory, error) {
	s, memory, allowed, err := a.read()
	if err == nil {
		s.Procs = a.cpus(allowed)
	}
	return s, memory, err
}

// ReadOften is Read without Procs, which takes three quarters of its time.
func (a Another) ReadOften() (Sample, Memory, error) {
	s, memory, _, err := a.read()
	return s, memory, err
}

// read also returns the mask of the CPUs that the process may use.
func (a Another) read() (s Sample, m Memory, allowed string, err error) {
	status, err := procfs.ReadStatus(a.Process.Dir)
	if err != nil {
		return s, m, "", err
	}
	usage, err := a.usage()
	if err != nil {
		return s, m, "", err
	}
	s = Sample{At: usage.At, Usage: usage}
	s.Threads, _ = strconv.ParseUint(status["Threads"], 10, 64)
	return s, Memory{kilobytes(status["VmRSS"]), kilobytes(status["VmHWM"]), kilobytes(status["VmSwap"])}, status["Cpus_allowed"], nil
}

// usage reads the CPU time. The stat file rounds it to ticks of 10 ms, the clock of the
// process does not (clock_getcpuclockid(3)), but has no parts.
func (a Another) usage() (Usage, error) {
	u := Usage{At: time.Now()}
	th, err := procfs.ReadThread(a.Process.Dir)
	if err != nil {
		return u, err
	}
	u.User, u.System = th.User, th.System
	const schedClock = 2 // CPUCLOCK_SCHED in the kernel's posix-timers_types.h
	var now unix.Timespec
	if err := unix.ClockGettime(int32(^a.PID<<3|schedClock), &now); err == nil {
		u.System = max(u.System, time.Duration(now.Nano())-u.User)
	}
	return u, nil
}

// cpus returns how many CPUs the process can use at once: those that it may use, or fewer
// if its environment has GOMAXPROCS or its control group has a limit. What the program
// itself gave to runtime.GOMAXPROCS cannot be seen. The mask allowed of /proc/PID/status
// also has the CPUs that a virtual machine could get later, so the system call comes first.
func (a Another) cpus(allowed string) int {
	n := countCPUs(allowed)
	var online unix.CPUSet
	if unix.SchedGetaffinity(a.PID, &online) == nil && online.Count() > 0 {
		n = online.Count()
	}
	entries, _, _ := a.Process.Environ() // none if we may not read it
	return usable(n, entries, procfs.ReadCgroup(a.Process.Dir).CPUs)
}

// usable returns how many of n CPUs a process with this environment and this limit (0: none)
// can use. A limit of 1.5 is 2, as for the runtime since Go 1.25.
func usable(n int, environ []string, limit float64) int {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, "GOMAXPROCS="); ok {
			if most, err := strconv.Atoi(value); err == nil && most > 0 {
				return min(n, most)
			}
			break // the runtime looks at the first one only
		}
	}
	if limit > 0 {
		n = int(math.Ceil(min(limit, float64(n))))
	}
	return n
}

// countCPUs counts the CPUs in a mask such as "ff,ffffffff".
func countCPUs(mask string) (n int) {
	for word := range strings.SplitSeq(mask, ",") {
		v, err := strconv.ParseUint(word, 16, 64)
		if err != nil {
			return 0
		}
		n += bits.OnesCount64(v)
	}
	return n
}

// kilobytes returns the bytes of a value such as "1234 kB".
func kilobytes(value string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSuffix(value, " kB"), 10, 54)
	if err != nil {
		return 0
	}
	return n << 10
}

// Descriptors counts the open file descriptors.
func (a Another) Descriptors() (d Descriptors, err error) {
	limit, err := a.Process.DescriptorLimit()
	if err != nil {
		return d, err
	}
	d.Limit = int(min(limit, 1<<31-1))
	dir := a.Process.Dir + "/fd"
	if n, ok := sizeOf(dir); ok {
		d.Open = n
		return d, nil
	}
	names, err := readNames(dir)
	if err != nil {
		return d, fmt.Errorf("the descriptors: %w", err)
	}
	d.Open = len(names)
	return d, nil
}

// Kinds returns the kinds of the open descriptors; see ReadKinds.
func (a Another) Kinds() ([]Kind, error) { return readKinds(a.Process.Dir + "/fd") }
