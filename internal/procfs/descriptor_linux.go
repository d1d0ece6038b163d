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

// Descriptor describes an open descriptor of this process. Getting this
// description does not read from the descriptor, write to it or move its position.
type Descriptor struct {
	FD     int
	Kind   string // file, dir, char, pipe, tcp, unix, eventpoll, ...
	Target string // a path, or the addresses of a socket
	State  string // of a socket, in the words of ss(8)
	Detail string // more about some kinds, such as the pid of a pidfd

	Flags       int  // of fcntl(F_GETFL)
	CloseOnExec bool // a child process does not inherit it
	Deleted     bool // a file or directory without a name
	Changed     bool // the descriptor was closed or replaced during the reading

	Regular  bool  // it is a regular file, and Size and Position are known
	Size     int64 // in bytes
	Position int64 // -1: unknown

	Blocked uint64 // the mask of a signalfd
}

// Numbers returns the descriptors of this process in ascending order. One of them
// may be the descriptor that Numbers used itself and has closed. If no descriptor
// can be opened, Numbers tests each number below limit instead.
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

// ReadDescriptor describes a descriptor of this process. It returns false if the
// descriptor is closed. The program is running: between two steps it may close the
// descriptor, and open another one with the same number.
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
	case name == "pidfd": // since Linux 6.9, pidfds have their own file system
		d.Kind = "pidfd"
		d.anonymous()
	case name == "anon_inode":
		d.Kind = anonKind(rest)
		if d.Kind == "anon" {
			d.Target = rest
		}
		d.anonymous()
	default: // net:[4026531840], and kinds of later kernels
		d.Kind, d.Target = "other", link
	}
	return d
}

// anonKind returns the kind of a link such as anon_inode:[eventfd]. For a kind that
// it does not know, it returns anon.
func anonKind(link string) string {
	name := strings.Trim(link, "[]")
	switch name {
	case "eventpoll", "eventfd", "timerfd", "inotify", "fanotify", "pidfd", "signalfd", "io_uring", "userfaultfd":
		return name
	}
	return "anon"
}

// path describes a descriptor that has or had a name in a file system.
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
	case unix.S_IFSOCK: // the file of a socket, opened with O_PATH
		d.Kind = "socket"
	default:
		d.Kind = "other"
	}
	// The real name of a file may be "x (deleted)". Then its number of links is not 0.
	if name, ok := strings.CutSuffix(link, " (deleted)"); ok && links == 0 {
		d.Target, d.Deleted = name, true
	}
}

// sizes reads the inode, and for a regular file the position. The position comes
// from fdinfo, because lseek would wait for a read that is in progress.
func (d *Descriptor) sizes() (mode uint16, links uint32) {
	var st unix.Statx_t
	// With DONT_SYNC, the kernel does not ask the server of NFS or FUSE. The server
	// may not answer.
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

// info returns the beginning of the descriptor's file in /proc/self/fdinfo. Do not
// call it for an eventpoll. For an eventpoll, the kernel lists all watched
// descriptors, and does so again with twice the buffer until the list fits. During
// this time it holds the lock that epoll_wait needs (ep_show_fdinfo in
// fs/eventpoll.c).
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

// anonymous adds the details of some kinds that are in fdinfo.
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

// parseTime parses "(seconds, nanoseconds)".
func parseTime(text string) time.Duration {
	var sec, nsec int64
	if _, err := fmt.Sscanf(text, "(%d, %d)", &sec, &nsec); err != nil {
		return 0
	}
	return time.Duration(sec)*time.Second + time.Duration(nsec)
}
