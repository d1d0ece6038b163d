//go:build linux && !oneshot_noproc

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/display"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/unixsock"
)

const cleanHelp = `usage: oneshot clean [-n] [-v] [-json] [DIR]

Removes old sockets of manholes from DIR, by default /tmp: sockets with a name
manhole-... and no listener. It removes your own sockets only; root removes those of
every user. Where /tmp cannot be written, sockets are in /dev/shm. A process leaves its
socket behind if it is killed while a window is open.

	-n   prints what it would remove, and removes nothing
	-v   also prints which sockets it does not remove, and why
	-json   prints one JSON object with the lines of the text
`

// cleanDir is the directory of the default socket path.
const cleanDir = "/tmp"

func runClean(args []string, stdout, _ io.Writer) error {
	c := cleaner{dir: cleanDir, uid: os.Geteuid(), out: stdout}
	rest, err := parseFlags("clean", args, c.define)
	switch {
	case err != nil:
		return err
	case len(rest) > 1:
		return usageError{"clean: give at most one directory, after the flags"}
	case len(rest) == 1:
		c.dir = rest[0]
	}
	return c.clean()
}

// define adds the flags of clean to a set.
func (c *cleaner) define(flags *flag.FlagSet) {
	flags.BoolVar(&c.dryRun, "n", false, "print what it would remove, and remove nothing")
	flags.BoolVar(&c.verbose, "v", false, "also print which sockets it does not remove, and why")
}

// cleaner removes sockets without a listener from one directory.
type cleaner struct {
	dir             string
	fd              int // of dir
	uid             int // only sockets of this user are removed; 0: of every user
	dryRun, verbose bool
	out             io.Writer
}

// socketPrefix is how the names of sockets begin. The pid follows, and the suffix of a
// socket that has not been moved to its path yet.
const socketPrefix = "manhole-"

func (c *cleaner) clean() error {
	// All files are opened relative to this descriptor, so that they are in the same
	// directory even if somebody renames it or replaces it with a link.
	fd, err := unix.Open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return fmt.Errorf("clean: %s is not a directory (symbolic links are not followed)", c.dir)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("clean: %w; without a name, it cleans %s", &os.PathError{Op: "open", Path: c.dir, Err: err}, cleanDir)
	case err != nil:
		return fmt.Errorf("clean: %w", &os.PathError{Op: "open", Path: c.dir, Err: err})
	}
	folder := os.NewFile(uintptr(fd), c.dir)
	defer folder.Close()
	c.fd = fd
	names, err := folder.Readdirnames(-1)
	failed := []error{err} // names has what was read before the error
	slices.Sort(names)
	for _, name := range names {
		if strings.HasPrefix(name, socketPrefix) {
			failed = append(failed, c.cleanFile(name))
		}
	}
	return errors.Join(failed...)
}

// cleanFile removes a file if it may, and prints what it has done.
func (c *cleaner) cleanFile(name string) error {
	path := display.EscapeLine(filepath.Join(c.dir, name))
	kept, err := c.remove(name)
	switch {
	case errors.Is(err, unix.ENOENT): // somebody else has removed it
		return nil
	case err != nil:
		return fmt.Errorf("clean: %s: %w", path, err)
	case kept != "":
		if c.verbose {
			_, err = fmt.Fprintf(c.out, "left %s: %s\n", path, kept)
		}
	case c.dryRun:
		_, err = fmt.Fprintf(c.out, "would remove %s\n", path)
	default:
		_, err = fmt.Fprintf(c.out, "removed %s\n", path)
	}
	return err
}

// remove removes a socket without a listener. For every other file it returns the
// reason why the file is kept.
func (c *cleaner) remove(name string) (kept string, err error) {
	// A descriptor that cannot read or write is enough to connect to the socket. It
	// also keeps the inode: no other file can get the same inode number.
	fd, err := unix.Openat(c.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", os.NewSyscallError("fstat", err)
	}
	if kept, err = c.reasonToKeep(name, fd, &st); kept != "" || err != nil || c.dryRun {
		return kept, err
	}
	var now unix.Stat_t
	if err := unix.Fstatat(c.fd, name, &now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", os.NewSyscallError("stat", err)
	}
	if now.Dev != st.Dev || now.Ino != st.Ino {
		return "the name belongs to another file now", nil
	}
	return "", os.NewSyscallError("unlink", unix.Unlinkat(c.fd, name, 0))
}

// reasonToKeep returns why a file must not be removed, or an empty string.
func (c *cleaner) reasonToKeep(name string, fd int, st *unix.Stat_t) (string, error) {
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return "it is not a socket", nil
	case c.uid != 0 && int(st.Uid) != c.uid:
		return fmt.Sprintf("it belongs to uid %d", st.Uid), nil
	}
	inUse, err := socketInUse(fd, time.Unix(st.Ctim.Unix()))
	switch {
	case errors.Is(err, unix.EACCES):
		return "you may not connect to it, so it is not known whether somebody listens", nil
	case err != nil:
		return "", err
	case inUse:
		return "somebody listens", nil
	}
	if pid := listenerOf(name); pid != 0 {
		return fmt.Sprintf("process %d listens on a socket with this name", pid), nil
	}
	return "", nil
}

// bindTime is the age after which one look at a socket is enough. The kernel creates
// the file in bind(2) and the program calls listen(2) later, usually microseconds
// later (unix_bind_bsd in the kernel's net/unix/af_unix.c).
const bindTime = time.Second

// socketInUse reports whether somebody listens on the socket of an O_PATH descriptor.
// It asks twice about a socket that is younger than bindTime.
func socketInUse(fd int, created time.Time) (bool, error) {
	inUse, err := somebodyListens(fd)
	if err == nil && !inUse && time.Since(created) < bindTime {
		time.Sleep(20 * time.Millisecond)
		inUse, err = somebodyListens(fd)
	}
	return inUse, err
}

// somebodyListens reports whether somebody listens on the socket of an O_PATH descriptor.
func somebodyListens(fd int) (bool, error) {
	used, err := unixsock.InUse("/proc/self/fd/" + strconv.Itoa(fd))
	switch {
	case errors.Is(err, unix.EPERM): // it is a datagram socket, connected to another
		return true, nil
	case errors.Is(err, unix.ENOENT):
		return false, errors.New("cannot connect to it through /proc, which is not mounted")
	}
	return used, err
}

// listenerOf returns the pid in the name of a socket if that process listens on a
// socket with this name, and 0 otherwise. On an overlay file system one file can have
// two inodes, and only one of them has the listener.
func listenerOf(name string) int {
	digits, _, _ := strings.Cut(strings.TrimPrefix(name, socketPrefix), ".")
	suffix := name[len(socketPrefix)+len(digits):]
	pid, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || pid == 0 || suffix != "" && !protocol.IsTempSuffix(suffix) {
		return 0
	}
	listens, err := discovery.ListensOn(int(pid), socketPrefix+digits)
	if err != nil || !listens { // usually the process has ended
		return 0
	}
	return int(pid)
}
