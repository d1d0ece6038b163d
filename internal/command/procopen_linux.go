package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

// procPath checks a path below /proc/PID and splits it into names.
func procPath(name string) ([]string, error) {
	if strings.HasPrefix(name, "/") {
		return nil, fmt.Errorf("%s: give the path below /proc/self: proc status", plaintext.Line(plaintext.Clip(name, 80)))
	}
	path := strings.Split(strings.TrimSuffix(name, "/"), "/")
	for _, part := range path {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return nil, fmt.Errorf("%s: the path must not contain an empty name, . or .. anywhere", plaintext.Line(plaintext.Clip(name, 80)))
		}
	}
	if len(path) > maxProcDepth {
		return nil, fmt.Errorf("%s: the path may have at most %d names, as in proc task/1/net/dev", plaintext.Line(plaintext.Clip(name, 80)), maxProcDepth)
	}
	switch last := path[len(path)-1]; {
	case last == "mem":
		return nil, errors.New("mem is the memory itself, not a text; see maps and smaps_rollup")
	case last == "pagemap" || strings.HasPrefix(last, "kpage"):
		return nil, fmt.Errorf("%s is a table of 8 bytes for every page, not a text; smaps_rollup has the sums", last)
	case last == "clear_refs":
		return nil, errors.New("clear_refs can only be written, which would change the process")
	case last == "channel":
		return nil, errors.New("reading a channel takes a request away from the daemon that it is for")
	}
	return path, nil
}

// procEntry is an entry of /proc/PID, opened with O_PATH. Opening a file this way
// has no effect on it. If the entry is a link, the descriptor refers to the link
// itself.
type procEntry struct {
	fd   int
	mode uint32
	name string // for errors
}

// openProc opens the entry with that path, one directory after the other from the
// directory of a process. No step follows a link, and no step may leave procfs through
// a mount.
func openProc(process string, path []string) (procEntry, error) {
	at, err := openEntry(unix.AT_FDCWD, process, unix.O_DIRECTORY|unix.O_PATH) // the only link that it follows
	for _, name := range path {
		if err != nil {
			break
		}
		var next procEntry
		next, err = openEntry(at.fd, name, unix.O_NOFOLLOW|unix.O_PATH)
		unix.Close(at.fd)
		at = next // no descriptor is open if openEntry has failed
	}
	return at, err
}

// openEntry opens an entry of a directory. It returns an error if the entry does
// not belong to procfs.
func openEntry(dir int, name string, flags int) (procEntry, error) {
	e := procEntry{name: name}
	failed := func(err error) (procEntry, error) {
		return procEntry{}, &fs.PathError{Op: "open", Path: plaintext.Line(name), Err: err}
	}
	var err error
	if e.fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0); err != nil {
		return failed(err)
	}
	var where unix.Statfs_t
	var what unix.Stat_t
	err = unix.Fstatfs(e.fd, &where)
	switch {
	case err != nil:
	case where.Type != unix.PROC_SUPER_MAGIC:
		err = errors.New("it does not belong to procfs; something else is mounted there")
	default:
		err = unix.Fstat(e.fd, &what)
	}
	if err != nil {
		unix.Close(e.fd)
		return failed(err)
	}
	e.mode = what.Mode
	return e, nil
}

// reopen opens the same entry for reading. /proc/self/fd/N leads to exactly the
// entry that was opened with O_PATH.
func (e procEntry) reopen() (*os.File, error) {
	again, err := openEntry(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", e.fd), unix.O_RDONLY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: plaintext.Line(e.name), Err: errors.Unwrap(err)}
	}
	return os.NewFile(uintptr(again.fd), plaintext.Line(e.name)), nil
}

// linkAt returns the target of the link with that name in a folder. If the name is
// "", dir is itself the link.
func linkAt(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
