//go:build linux

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/discovery"
)

const cleanHelp = `usage: oneshot clean [-n] [-v] [DIR]

Removes the sockets that processes have left in DIR, /tmp unless told: those that
are named manhole-... and on which nobody listens. Only your own are removed; root
removes everybody's. A process that was killed while a window was open leaves one.

	-n   says what would be removed, and removes nothing
	-v   says of the others why they are left
`

// cleanDir is where the default socket path leads.
const cleanDir = "/tmp"

func runClean(args []string, stdout, _ io.Writer) error {
	var c cleaner
	rest, err := parseSubcommand("clean", cleanHelp, args, stdout, func(flags *flag.FlagSet) {
		flags.BoolVar(&c.pretend, "n", false, "")
		flags.BoolVar(&c.verbose, "v", false, "")
	})
	switch {
	case errors.Is(err, errHelp):
		return nil
	case err != nil:
		return err
	case len(rest) > 1:
		return usageError{"clean: it takes one directory at a time; flags stand before it"}
	}
	c.dir, c.out, c.uid = cleanDir, stdout, os.Geteuid()
	if len(rest) == 1 {
		c.dir = rest[0]
	}
	return c.clean()
}

// cleaner removes dead sockets from one directory.
type cleaner struct {
	dir              string
	fd               int // of dir
	uid              int
	pretend, verbose bool
	out              io.Writer
}

// Names of sockets, and of those that have not been moved to their path yet.
var (
	socketName    = regexp.MustCompile(`^manhole-`)
	socketWithPID = regexp.MustCompile(`^manhole-([0-9]+)(\.[0-9a-f]{6})?$`)
)

func (c *cleaner) clean() error {
	// The descriptor stays that of one directory whatever is renamed meanwhile.
	fd, err := unix.Open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return fmt.Errorf("clean: %s is not a directory (a symbolic link to one is not followed)", c.dir)
	case err != nil:
		return fmt.Errorf("clean: %w", &os.PathError{Op: "open", Path: c.dir, Err: err})
	}
	folder := os.NewFile(uintptr(fd), c.dir)
	defer folder.Close()
	c.fd = fd
	names, err := folder.Readdirnames(-1)
	failed := []error{err} // what was read all the same is worth a look
	slices.Sort(names)
	for _, name := range names {
		if !socketName.MatchString(name) {
			continue
		}
		why, err := c.remove(name)
		path := shown(filepath.Join(c.dir, name))
		switch {
		case errors.Is(err, unix.ENOENT): // gone meanwhile
			err = nil
		case err != nil:
			err = fmt.Errorf("clean: %s: %w", path, err)
		case why != "":
			if c.verbose {
				_, err = fmt.Fprintf(c.out, "left %s: %s\n", path, why)
			}
		case c.pretend:
			_, err = fmt.Fprintf(c.out, "would remove %s\n", path)
		default:
			_, err = fmt.Fprintf(c.out, "removed %s\n", path)
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// bindTime is how long ago a socket must have been made for one look to do. Its
// maker makes the file first and listens afterwards (unix_bind_bsd in the
// kernel's net/unix/af_unix.c), which takes microseconds.
const bindTime = time.Second

// remove removes a dead socket, or says why it does not.
func (c *cleaner) remove(name string) (why string, err error) {
	// A descriptor without rights keeps the inode, so that its number cannot
	// come back as another file's, and the socket is asked through it.
	fd, err := unix.Openat(c.fd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", os.NewSyscallError("open", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return "", os.NewSyscallError("fstat", err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return "it is not a socket", nil
	case c.uid != 0 && int(st.Uid) != c.uid:
		return fmt.Sprintf("it belongs to uid %d", st.Uid), nil
	}
	inUse, err := somebodyListens(fd)
	if age := time.Since(time.Unix(st.Ctim.Unix())); err == nil && !inUse && age < bindTime {
		time.Sleep(20 * time.Millisecond)
		inUse, err = somebodyListens(fd)
	}
	switch {
	case errors.Is(err, unix.EACCES):
		return "you may not connect to it, so whether somebody listens is not known", nil
	case err != nil:
		return "", err
	case inUse:
		return "somebody listens", nil
	}
	if pid := listenerOf(name); pid != 0 {
		return fmt.Sprintf("process %d listens on a socket of that name", pid), nil
	}
	if c.pretend {
		return "", nil
	}
	var now unix.Stat_t
	if err := unix.Fstatat(c.fd, name, &now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", os.NewSyscallError("stat", err)
	}
	if now.Dev != st.Dev || now.Ino != st.Ino {
		return "another file has its name now", nil
	}
	return "", os.NewSyscallError("unlink", unix.Unlinkat(c.fd, name, 0))
}

// somebodyListens asks about the socket of an O_PATH descriptor, by a connect of
// the wrong kind of socket: it reaches nobody, and takes no window that is open
// (see socketInUse in the package).
func somebodyListens(fd int) (bool, error) {
	probe, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
	defer unix.Close(probe)
	err = unix.Connect(probe, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(fd)})
	switch {
	case errors.Is(err, unix.ECONNREFUSED):
		return false, nil
	case err == nil, errors.Is(err, unix.EPROTOTYPE), errors.Is(err, unix.EPERM): // one of another type, or connected to another
		return true, nil
	case errors.Is(err, unix.ENOENT):
		return false, errors.New("it was asked through /proc, which is not mounted")
	}
	return false, os.NewSyscallError("connect", err)
}

// listenerOf returns the pid in the name of a socket if that process listens on
// one of that name, else 0. An overlay file system shows the same file as two
// inodes, of which only one has the listener.
func listenerOf(name string) int {
	m := socketWithPID.FindStringSubmatch(name)
	if m == nil {
		return 0
	}
	pid, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil || pid == 0 {
		return 0
	}
	listens, err := discovery.ListensOn(int(pid), "manhole-"+m[1])
	if err != nil || !listens { // it has ended, mostly
		return 0
	}
	return int(pid)
}
