//go:build unix

package vitals

import (
	"syscall"
	"time"
)

// ReadUsage reads the CPU time of all threads (getrusage(2)).
func ReadUsage() Usage {
	u := Usage{At: time.Now()}
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.User, u.System = time.Duration(r.Utime.Nano()), time.Duration(r.Stime.Nano())
	}
	return u
}

// descriptorLimit returns the maximal number of open descriptors (RLIMIT_NOFILE).
func descriptorLimit() (int, error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	return int(min(uint64(l.Cur), 1<<31-1)), nil
}
