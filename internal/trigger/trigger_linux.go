// Package trigger watches a file, and calls a function when the pid of this process
// is written to it. It does not know what that function does.
package trigger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/unixsock"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/ours"
)

// File is the watch of a trigger file. When somebody writes to the file, the kernel
// sends a signal (inotify(7) with O_ASYNC, fcntl(2) F_SETOWN). The goroutine that waits
// for signals anyway receives it. So a watch costs one descriptor, but no goroutine
// and no polling.
type File struct {
	Config
	sys     calls
	path    string
	Signals chan os.Signal // receives SIGIO, which other sources may cause too
	fd      int            // of inotify
	looking sync.WaitGroup // the goroutines that run look

	reading sync.Mutex // guards closed, and fd while it is read
	beside  bool       // DrainBeside has read events, and Drain has not been called since
	closed  bool       // Close was called: fd may be the descriptor of another file by now

	mu    sync.Mutex  // guards the fields below
	file  int         // the watch of the file; -1: the file does not exist
	dir   int         // the watch of its directory while the file does not exist; -1: none
	known unixsock.ID // identifies the watched file
	done  int64       // the time of the last write for which Open was called
	early int64       // the time of the write that was read when the watch began; its writer may be about to close the file
}

// Signal is the signal that the kernel sends for an event of the watch.
var Signal os.Signal = syscall.SIGIO

const (
	fileEvents = unix.IN_CLOSE_WRITE | unix.IN_ATTRIB | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	dirEvents  = unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_ONLYDIR
)

// New watches the file at path. It creates the file if it does not exist.
func New(path string, c Config) (*File, error) { return newFile(path, c, kernel) }

func newFile(path string, c Config, sys calls) (*File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("oneshot: TriggerFile %s: %w", path, err)
	}
	t := &File{Config: c, sys: sys, path: path, file: -1, dir: -1, Signals: make(chan os.Signal, 1)}
	f, err := t.openFile(os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("oneshot: TriggerFile: %w", err)
	}
	defer f.Close()
	if t.fd, err = sys.inotify(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		return nil, noWatch(path, os.NewSyscallError("inotify_init1", err))
	}
	if err := t.arm(); err != nil {
		unix.Close(t.fd)
		return nil, noWatch(path, err)
	}
	return t, nil
}

// noWatch returns the error for a trigger file that cannot be watched.
func noWatch(path string, err error) error {
	step := "leave TriggerFile out and use a signal"
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS):
		step = "allow the system call (seccomp) or " + step
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENOSPC):
		step = "raise the limit (sysctl fs.inotify; ulimit -n) or " + step
	}
	return fmt.Errorf("oneshot: TriggerFile %s cannot be watched: %w; %s", path, err, step)
}

// arm begins the watch and asks the kernel for signals.
func (t *File) arm() error {
	t.mu.Lock()
	err := t.watchFile()
	t.mu.Unlock()
	if err != nil {
		return err
	}
	signal.Notify(t.Signals, syscall.SIGIO)
	pid, _ := t.Process()
	if _, err := t.sys.fcntl(uintptr(t.fd), unix.F_SETOWN, pid); err != nil {
		signal.Stop(t.Signals)
		return os.NewSyscallError("fcntl F_SETOWN", err)
	}
	if _, err := t.sys.fcntl(uintptr(t.fd), unix.F_SETFL, unix.O_ASYNC|unix.O_NONBLOCK); err != nil {
		signal.Stop(t.Signals)
		return os.NewSyscallError("fcntl O_ASYNC", err)
	}
	return nil
}

// openFile opens the file. It returns an error if users other than the process's
// user and root can have written it, or if it is a symbolic link.
func (t *File) openFile(flags int) (*os.File, error) {
	path := t.path
	f, err := t.sys.open(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|flags, 0o600)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link; name the file itself", path)
	}
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = t.sys.fstat(int(f.Fd()), &st); err != nil {
		err = &os.PathError{Op: "fstat", Path: path, Err: err}
	} else {
		switch {
		case st.Mode&unix.S_IFMT != unix.S_IFREG:
			err = fmt.Errorf("%s is not a regular file; remove it or name another", path)
		case int(st.Uid) != os.Geteuid() && st.Uid != 0:
			err = fmt.Errorf("%s belongs to uid %d, who could open the manhole; remove it or name another", path, st.Uid)
		case st.Mode&0o022 != 0:
			err = fmt.Errorf("%s may be written by others (mode %04o); chmod go-w %s", path, st.Mode&0o7777, path)
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// watchFile watches the file, or its directory while the file does not exist. The
// caller holds t.mu.
func (t *File) watchFile() error {
	file, err := t.sys.addWatch(t.fd, t.path, fileEvents|unix.IN_DONT_FOLLOW)
	if err == nil {
		t.file = file
		t.known, _, _ = unixsock.IDAt(t.path)
		if t.dir >= 0 {
			_, _ = unix.InotifyRmWatch(t.fd, uint32(t.dir))
			t.dir = -1
		}
		return nil
	}
	t.file = -1
	if !errors.Is(err, unix.ENOENT) {
		return os.NewSyscallError("inotify_add_watch", err)
	}
	if t.dir < 0 {
		if t.dir, err = t.sys.addWatch(t.fd, filepath.Dir(t.path), dirEvents); err != nil {
			t.dir = -1
			return os.NewSyscallError("inotify_add_watch", err)
		}
		// The file may have been created between the two calls.
		if _, err := os.Lstat(t.path); err == nil {
			return t.watchFile()
		}
	}
	return nil
}

// Drain reads the pending events without waiting. If they concern the file, it starts
// a goroutine that reads the file. It returns false if there were no events, and
// DrainBeside has not read any. Then the signal has another cause.
func (t *File) Drain() (mine bool) {
	t.reading.Lock()
	defer t.reading.Unlock()
	mine = t.drain() || t.beside
	t.beside = false
	return mine
}

// DrainBeside is Drain for somebody who waits beside the program's own loop, which gets
// the same signal.
func (t *File) DrainBeside() {
	t.reading.Lock()
	defer t.reading.Unlock()
	t.beside = t.drain() || t.beside
}

// drain does what Drain does. The caller holds t.reading.
func (t *File) drain() (mine bool) {
	if t.closed {
		return false
	}
	buf := make([]byte, 4096)
	var written, moved bool
	var dead []int // watches that have ended because their file was removed
	for {
		n, err := unix.Read(t.fd, buf)
		if err != nil || n < unix.SizeofInotifyEvent {
			break
		}
		mine = true
		for at := 0; at+unix.SizeofInotifyEvent <= n; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&buf[at]))
			at += unix.SizeofInotifyEvent + int(e.Len)
			switch {
			case e.Mask&unix.IN_CLOSE_WRITE != 0:
				written = true
			case e.Mask&unix.IN_IGNORED != 0:
				dead = append(dead, int(e.Wd))
				moved = true
			default:
				moved = true
			}
		}
	}
	if written || moved {
		t.looking.Add(1)
		// The file system may hang, and the caller must return to wait for signals.
		ours.Go(func() { t.look(written, moved, dead) })
	}
	return mine
}

// look reads the file, and opens the manhole if the file names this process. It
// renews the watch if there is another file at the path.
func (t *File) look(written, moved bool, dead []int) {
	defer t.looking.Done()
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := false
	if slices.Contains(dead, t.file) {
		t.file = -1 // the next file may have the same inode number
	}
	if moved {
		// There may be another file now: many editors write a new file and rename it.
		if now, _, err := unixsock.IDAt(t.path); err != nil || now != t.known || t.file < 0 {
			if t.file >= 0 {
				_, _ = unix.InotifyRmWatch(t.fd, uint32(t.file)) // fails if the file and its watch are gone
			}
			if err := t.watchFile(); err != nil {
				t.Log.Warn("the trigger file is not watched any more", "path", t.path, "err", err)
				return
			}
			fresh = t.file >= 0
		}
	}
	switch {
	case fresh:
		// The kernel does not report a write before the watch began, so read the
		// file now. If a writer still has the file open, the kernel reports the
		// same write again when the writer closes it.
		t.early = t.fire(0)
	case written:
		t.fire(t.early)
		t.early = 0
	}
}

// fire opens the manhole if the file names this process, unless the file was written
// at the time except. If the file names a process, fire returns the time of the write
// in nanoseconds. Otherwise it returns 0.
func (t *File) fire(except int64) (when int64) {
	f, err := t.openFile(0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Log.Warn("the trigger file is ignored", "err", err)
		return 0
	}
	defer f.Close()
	text, err := t.sys.content(f)
	if err != nil {
		t.Log.Warn("the trigger file is ignored", "err", err)
		return 0
	}
	if info, err := f.Stat(); err == nil {
		when = info.ModTime().UnixNano()
	}
	if when == except {
		return 0 // this write was handled already
	}
	word := string(bytes.TrimRight(text, "\r\n"))
	if word == "" { // the file was truncated, perhaps by a writer that has not written yet
		return 0
	}
	number, wanted, more := strings.Cut(word, " ")
	pid, err := strconv.ParseUint(number, 10, 31)
	if err != nil || more && wanted != "report" {
		t.Log.Warn("the trigger file is ignored: it does not hold one pid, or a pid and the word report", "path", t.path, "content", plaintext.Line(plaintext.Clip(word, 40)))
		return 0
	}
	if this, ok := t.Process(); int(pid) != this || !ok {
		t.Log.Info("the trigger file names another process", "path", t.path, "pid", pid)
		return when
	}
	if when != 0 && when == t.done {
		return when // the kernel reports each write, but the look for the previous event may have read this write
	}
	t.done = when
	t.Log.Info("the trigger file names this process", "path", t.path)
	if more {
		t.Report()
	} else {
		t.Open()
	}
	return when
}

// Close ends the watch. It waits for the goroutines that are reading the file.
func (t *File) Close() {
	signal.Stop(t.Signals)
	t.reading.Lock()
	t.closed = true
	t.reading.Unlock()
	t.looking.Wait()
	unix.Close(t.fd)
}
