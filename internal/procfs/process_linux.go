package procfs

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Process is a process whose files in /proc are read.
type Process struct {
	Dir string // its directory: /proc/self or /proc/PID

	files files
}

var self = Process{Dir: "/proc/self", files: &own{}}

// Self returns this process.
func Self() *Process { return &self }

// IsSelf reports whether it is this process.
func (p *Process) IsSelf() bool { return p == &self }

// DescriptorLimit returns how many descriptors the process may have (RLIMIT_NOFILE).
func (p *Process) DescriptorLimit() (uint64, error) { return p.files.limit() }

// Environ returns the environment of this process as it is now; of another process,
// the one with which it was started. cut is true if there is more.
func (p *Process) Environ() (entries []string, cut bool, err error) { return p.files.environ() }

// files is how to look at the descriptors and the environment of a process. It is an
// interface so that a program with a manhole contains own only.
type files interface {
	// flags returns the flags of F_GETFL, and whether close-on-exec is set. link is the
	// target of the link in /proc/PID/fd.
	flags(fd int, link string) (flags int, closeOnExec bool, err error)
	// stat returns the type, the size and the number of links of a file.
	stat(fd int) (unix.Statx_t, error)
	// socket returns a descriptor of this process for a socket. The caller calls release.
	socket(fd int) (_ int, release func(), err error)
	pid() int
	// limit returns how many descriptors the process may have (RLIMIT_NOFILE).
	limit() (uint64, error)
	environ() (entries []string, cut bool, err error)
}

// own looks at this process.
type own struct{}

func (*own) flags(fd int, _ string) (flags int, closeOnExec bool, err error) {
	if flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil {
		return 0, false, err
	}
	fdFlags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return flags, fdFlags&unix.FD_CLOEXEC != 0, err
}

func (*own) stat(fd int) (st unix.Statx_t, err error) {
	// With DONT_SYNC, the kernel does not ask the server of NFS or FUSE. The server
	// may not answer.
	err = unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_NLINK|unix.STATX_SIZE, &st)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 4.11, and in some sandboxes
		var old unix.Stat_t
		err = unix.Fstat(fd, &old)
		st.Mode, st.Nlink, st.Size = uint16(old.Mode), uint32(old.Nlink), uint64(old.Size)
	}
	return st, err
}

func (*own) socket(fd int) (int, func(), error) { return fd, func() {}, nil }

func (*own) pid() int { return os.Getpid() }

func (*own) limit() (uint64, error) {
	var l unix.Rlimit
	err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l)
	return l.Cur, err
}

func (*own) environ() ([]string, bool, error) { return os.Environ(), false, nil }
