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

// Descriptor describes an open descriptor of a process. Getting this description
// does not read from the descriptor, write to it or move its position.
type Descriptor struct {
	FD     int
	Kind   string // file, dir, char, pipe, tcp, unix, eventpoll, ...
	Target string // a path, or the addresses of a socket
	State  string // of a socket, in the words of ss(8)
	Detail string // more about some kinds, such as the pid of a pidfd

	Flags       int  // of fcntl(F_GETFL)
	CloseOnExec bool // a child process does not inherit it; also true if that is not known
	Deleted     bool // a file or directory without a name
	Changed     bool // the descriptor was closed or replaced during the reading

	Regular  bool  // it is a regular file, and Size and Position are known
	Size     int64 // in bytes
	Position int64 // -1: unknown

	Blocked uint64 // the mask of a signalfd

	process *Process
}

// Numbers returns the descriptors of the process in ascending order. In this process,
// one of them may be the descriptor that Numbers used itself and has closed. If this
// process cannot open any descriptor, Numbers tests each number below limit instead.
func (p *Process) Numbers(ctx context.Context, limit int) ([]int, error) {
	dir, err := os.Open(p.Dir + "/fd")
	if p == &self && (errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE)) {
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

// ReadDescriptor describes a descriptor of the process. It returns false if the
// descriptor is closed. The program is running: between two steps it may close the
// descriptor, and open another one with the same number.
func (p *Process) ReadDescriptor(fd int) (d Descriptor, ok bool) {
	for range 2 {
		before, err := p.linkOf(fd)
		if err != nil {
			return Descriptor{}, false
		}
		d = p.describe(fd, before)
		after, err := p.linkOf(fd)
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

func (p *Process) linkOf(fd int) (string, error) {
	return os.Readlink(p.Dir + "/fd/" + strconv.Itoa(fd))
}

func (p *Process) describe(fd int, link string) Descriptor {
	d := Descriptor{FD: fd, Position: -1, process: p}
	var err error
	if d.Flags, d.CloseOnExec, err = p.files.flags(fd, link); err != nil {
		d.Changed = true
	}
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
	st, err := d.process.files.stat(d.FD)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		d.Detail = "its file system does not answer"
		return 0, 1
	case err != nil:
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

func (d *Descriptor) info() Status { return d.process.info(d.FD) }

// info returns the beginning of a descriptor's file in fdinfo. Do not call it for an
// eventpoll. For an eventpoll, the kernel lists all watched descriptors, and does so
// again with twice the buffer until the list fits. During this time it holds the lock
// that epoll_wait needs (ep_show_fdinfo in fs/eventpoll.c).
func (p *Process) info(number int) Status {
	fd, err := unix.Open(p.Dir+"/fdinfo/"+strconv.Itoa(number), unix.O_RDONLY|unix.O_CLOEXEC, 0)
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
