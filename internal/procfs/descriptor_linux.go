package procfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptor is what can be told of an open file of this process without using
// it: nothing is read from it, written to it or moved.
type Descriptor struct {
	FD     int
	Kind   string // file, dir, char, pipe, tcp, unix, eventpoll, ...
	Target string // a path, or the addresses of a socket
	State  string // of a socket, as ss(8) has it
	Detail string // what else its kind tells, such as the pid of a pidfd

	Flags       int  // those of fcntl(F_GETFL)
	CloseOnExec bool // no child gets it
	Deleted     bool // a file or folder without a name
	Changed     bool // it was closed or became another while it was looked at

	Regular  bool  // what follows is known
	Size     int64 // in bytes
	Position int64 // -1: unknown

	Blocked uint64 // the mask of a signalfd
}

// Numbers are the descriptors of this process, ascending. One that the caller
// gets to see may be that which reading them needs, closed since. Where none can be
// opened any more, those below limit are asked for one by one.
func Numbers(ctx context.Context, limit int) ([]int, error) {
	dir, err := os.Open("/proc/self/fd")
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return probeNumbers(ctx, limit)
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	var numbers []int
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		names, err := dir.Readdirnames(1024)
		for _, name := range names {
			if n, err := strconv.Atoi(name); err == nil {
				numbers = append(numbers, n)
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(numbers)
			return numbers, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func probeNumbers(ctx context.Context, limit int) ([]int, error) {
	var numbers []int
	for fd := range limit {
		if fd%1024 == 0 && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			numbers = append(numbers, fd)
		}
	}
	return numbers, nil
}

// ReadDescriptor looks at a descriptor of this process; false if it is closed.
// The program goes on meanwhile: it may close the descriptor and open another
// of that number between two steps.
func ReadDescriptor(fd int) (d Descriptor, ok bool) {
	for range 2 {
		before, err := linkOf(fd)
		if err != nil {
			return Descriptor{}, false
		}
		d = describe(fd, before)
		after, err := linkOf(fd)
		if err != nil {
			return Descriptor{}, false
		}
		if before == after && !d.Changed {
			return d, true
		}
	}
	d.Changed = true
	return d, true
}

func linkOf(fd int) (string, error) { return os.Readlink("/proc/self/fd/" + strconv.Itoa(fd)) }

func describe(fd int, link string) Descriptor {
	d := Descriptor{FD: fd, Position: -1}
	var err error
	if d.Flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil {
		d.Changed = true
	}
	fdFlags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		d.Changed = true
	}
	d.CloseOnExec = fdFlags&unix.FD_CLOEXEC != 0

	switch name, rest, _ := strings.Cut(link, ":"); {
	case strings.HasPrefix(link, "/memfd:"):
		d.Kind, d.Target = "memfd", strings.TrimSuffix(rest, " (deleted)")
		d.sizes()
	case strings.HasPrefix(link, "/") || strings.HasPrefix(link, "(unreachable)"):
		d.path(link)
	case name == "socket":
		d.socket(link)
	case name == "pipe":
		d.Kind, d.Target = "pipe", link
	case name == "pidfd": // from Linux 6.9 on they are a file system of their own
		d.Kind = "pidfd"
		d.anonymous()
	case name == "anon_inode":
		d.Kind = anonKind(rest)
		if d.Kind == "anon" {
			d.Target = rest
		}
		d.anonymous()
	default: // net:[4026531840] and what is yet to come
		d.Kind, d.Target = "other", link
	}
	return d
}

// anonKind names those of anon_inode:[eventfd] and the like that one may know.
func anonKind(link string) string {
	name := strings.Trim(link, "[]")
	switch name {
	case "eventpoll", "eventfd", "timerfd", "inotify", "fanotify", "pidfd", "signalfd", "io_uring", "userfaultfd":
		return name
	}
	return "anon"
}

// path is for what has, or had, a name in a file system.
func (d *Descriptor) path(link string) {
	mode, links := d.sizes()
	d.Target = link
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		d.Kind = "file"
	case unix.S_IFDIR:
		d.Kind, d.Regular = "dir", false
	case unix.S_IFCHR:
		d.Kind = "char"
	case unix.S_IFBLK:
		d.Kind = "block"
	case unix.S_IFIFO:
		d.Kind = "fifo"
	case unix.S_IFLNK: // opened with O_PATH|O_NOFOLLOW
		d.Kind = "link"
	case unix.S_IFSOCK: // the file of one, opened with O_PATH
		d.Kind = "socket"
	default:
		d.Kind = "other"
	}
	// A file may be called "x (deleted)"; then it has a link.
	if name, ok := strings.CutSuffix(link, " (deleted)"); ok && links == 0 {
		d.Target, d.Deleted = name, true
	}
}

// sizes looks up the inode, and the position if it is a regular file. The
// position is that of fdinfo: lseek would wait for a read that is going on.
func (d *Descriptor) sizes() (mode uint16, links uint32) {
	var st unix.Statx_t
	// DONT_SYNC asks no server of NFS or FUSE, which may be away.
	err := unix.Statx(d.FD, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE|unix.STATX_NLINK|unix.STATX_SIZE, &st)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) { // before Linux 4.11, and in some sandboxes
		var old unix.Stat_t
		err = unix.Fstat(d.FD, &old)
		st.Mode, st.Nlink, st.Size = uint16(old.Mode), uint32(old.Nlink), uint64(old.Size)
	}
	if err != nil {
		d.Changed = true
		return 0, 1
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		d.Regular, d.Size = true, int64(st.Size)
		if pos, err := strconv.ParseInt(d.info()["pos"], 10, 64); err == nil {
			d.Position = pos
		}
	}
	return st.Mode, st.Nlink
}

// info is the start of the file in fdinfo. Of an eventpoll it is not to be
// read: the kernel lists all that is watched, twice as often as it takes to find
// how long the list is, with the lock held that epoll_wait needs
// (ep_show_fdinfo in fs/eventpoll.c).
func (d *Descriptor) info() Status {
	fd, err := unix.Open("/proc/self/fdinfo/"+strconv.Itoa(d.FD), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd)
	var buf [1024]byte
	n, err := unix.Read(fd, buf[:])
	if err != nil || n <= 0 {
		return nil
	}
	text := buf[:n]
	if n == len(buf) {
		text = text[:bytes.LastIndexByte(text, '\n')+1]
	}
	return parseStatus(string(text))
}

// anonymous adds what fdinfo tells of some kinds.
func (d *Descriptor) anonymous() {
	switch d.Kind {
	case "eventfd":
		if n, err := strconv.ParseUint(d.info()["eventfd-count"], 16, 64); err == nil {
			d.Detail = fmt.Sprintf("count %d", n)
		}
	case "pidfd":
		switch pid := d.info()["Pid"]; pid {
		case "":
		case "-1":
			d.Detail = "its process has ended"
		default:
			d.Detail = "of pid " + pid
		}
	case "timerfd":
		info := d.info()
		if text, ok := info["it_value"]; ok {
			d.Detail = timerText(parseTime(text), parseTime(info["it_interval"]))
		}
	case "signalfd":
		d.Blocked, _ = d.info().Mask("sigmask")
	}
}

func timerText(left, every time.Duration) string {
	switch {
	case left == 0:
		return "not set"
	case every == 0:
		return fmt.Sprintf("ends in %v", left.Round(time.Millisecond))
	}
	return fmt.Sprintf("ends in %v, then every %v", left.Round(time.Millisecond), every)
}

// parseTime reads (seconds, nanoseconds).
func parseTime(text string) time.Duration {
	sec, nsec, _ := strings.Cut(strings.Trim(text, "()"), ", ")
	s, err := strconv.ParseInt(sec, 10, 64)
	if err != nil {
		return 0
	}
	ns, err := strconv.ParseInt(nsec, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(s)*time.Second + time.Duration(ns)
}
