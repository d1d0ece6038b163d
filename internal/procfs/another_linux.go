package procfs

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/ours"
)

// Another returns another process. Nothing is written to it. The caller calls Close.
//
// A socket tells its addresses and its state only to a process that has it open. So
// for the time of a few system calls this process has a copy of the descriptor
// (pidfd_getfd(2)). If the other process closes the socket in that time, the socket
// is closed that much later. Of files, pipes and devices there is no copy.
func Another(pid int) (*Process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil, err
	}
	if err != nil { // before Linux 5.3, and in some sandboxes
		fd = -1
	}
	return &Process{Dir: dir, files: &foreign{dir: dir, id: pid, pidfd: fd, refused: os.NewSyscallError("pidfd_open", err), statx: statx, wait: time.Second}}, nil
}

// Close releases what Another has opened.
func (p *Process) Close() error {
	if f, ok := p.files.(*foreign); ok && f.pidfd >= 0 {
		return unix.Close(f.pidfd)
	}
	return nil
}

// Sockets returns the error because of which sockets have no addresses, or nil.
func (p *Process) Sockets() error {
	if f, ok := p.files.(*foreign); ok {
		return f.refused
	}
	return nil
}

// WithCopy calls use with a copy of a descriptor of another process. use must not read
// from it or write to it.
func (p *Process) WithCopy(fd int, use func(fd int)) error {
	own, release, err := p.files.socket(fd)
	if err != nil {
		return err
	}
	defer release()
	use(own)
	return nil
}

// foreign looks at another process.
type foreign struct {
	dir     string
	id      int
	pidfd   int   // -1: not known
	refused error // why sockets cannot be looked at
	slow    int   // how many files were on a file system that does not answer
	statx   func(path string) (unix.Statx_t, error)
	wait    time.Duration // for the answer about one file
}

// harmless are the kinds of descriptors whose fdinfo is short. For others, such as
// eventpoll and inotify, the kernel makes a long list, and holds a lock meanwhile that
// the program needs; see info.
var harmless = []string{"/", "(unreachable)", "socket:", "pipe:", "pidfd:", "net:", "anon_inode:[eventfd]", "anon_inode:[timerfd]", "anon_inode:[signalfd]", "anon_inode:[pidfd]"}

func (f *foreign) flags(fd int, link string) (flags int, closeOnExec bool, err error) {
	for _, prefix := range harmless {
		if strings.HasPrefix(link, prefix) {
			n, err := strconv.ParseInt((&Process{Dir: f.dir}).info(fd)["flags"], 8, 64)
			return int(n) &^ unix.O_CLOEXEC, n&unix.O_CLOEXEC != 0, err
		}
	}
	// The permissions of the link show the access (proc_fd_link in fs/proc/fd.c).
	info, err := os.Lstat(f.dir + "/fd/" + strconv.Itoa(fd))
	if err != nil {
		return 0, false, err
	}
	switch info.Mode().Perm() & 0o600 {
	case 0o600:
		flags = unix.O_RDWR
	case 0o200:
		flags = unix.O_WRONLY
	}
	return flags, true, nil
}

// maxSlow is after how many files without an answer no other file is asked for. A file
// system whose server does not answer may keep a stat waiting for ever.
const maxSlow = 3

func (f *foreign) stat(fd int) (unix.Statx_t, error) {
	if f.slow >= maxSlow {
		return unix.Statx_t{}, os.ErrDeadlineExceeded
	}
	type answer struct {
		st  unix.Statx_t
		err error
	}
	c := make(chan answer, 1)
	ours.Go(func() {
		st, err := f.statx(f.dir + "/fd/" + strconv.Itoa(fd))
		c <- answer{st, err}
	})
	select {
	case a := <-c:
		return a.st, a.err
	case <-time.After(f.wait):
		f.slow++
		return unix.Statx_t{}, os.ErrDeadlineExceeded
	}
}

// statx follows the link of a descriptor to its file, and does not open it.
func statx(path string) (st unix.Statx_t, err error) {
	err = unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_NLINK|unix.STATX_SIZE, &st)
	return st, err
}

func (f *foreign) socket(fd int) (int, func(), error) {
	if f.pidfd < 0 {
		return -1, nil, f.refused
	}
	own, err := unix.PidfdGetfd(f.pidfd, fd, 0)
	if err != nil {
		err = os.NewSyscallError("pidfd_getfd", err)
		if !errors.Is(err, unix.EBADF) {
			f.refused = err
		}
		return -1, nil, err
	}
	return own, func() { unix.Close(own) }, nil
}

func (f *foreign) pid() int { return f.id }

func (f *foreign) limit() (uint64, error) { return descriptorLimit(f.dir) }

func (f *foreign) environ() ([]string, bool, error) { return readEnviron(f.dir) }
