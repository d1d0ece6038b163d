package trigger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// In every case, the error of New must name the call and say what to do, and no descriptor
// may stay open.
func TestAFileThatCannotBeWatched(t *testing.T) {
	stat := func(change func(*unix.Stat_t)) func(*calls) {
		return func(c *calls) {
			c.fstat = func(fd int, st *unix.Stat_t) error {
				err := unix.Fstat(fd, st)
				change(st)
				return err
			}
		}
	}
	inotify := func(errno unix.Errno) func(*calls) {
		return func(c *calls) { c.inotify = func(int) (int, error) { return -1, errno } }
	}
	// watching returns the given errors, one for each call of inotify_add_watch.
	watching := func(errnos ...unix.Errno) func(*calls) {
		return func(c *calls) {
			c.addWatch = func(int, string, uint32) (int, error) {
				errno := errnos[0]
				errnos = errnos[1:]
				return -1, errno
			}
		}
	}
	fcntl := func(failing int, errno unix.Errno) func(*calls) {
		return func(c *calls) {
			c.fcntl = func(fd uintptr, cmd, arg int) (int, error) {
				if cmd == failing {
					return -1, errno
				}
				return unix.FcntlInt(fd, cmd, arg)
			}
		}
	}
	const watched, signal = "oneshot: TriggerFile PATH cannot be watched: ", "leave TriggerFile out and use a signal"
	for _, test := range []struct {
		name   string
		change func(*calls)
		says   string
	}{
		{"open", func(c *calls) {
			c.open = func(path string, _ int, _ os.FileMode) (*os.File, error) {
				return nil, &os.PathError{Op: "open", Path: path, Err: unix.EROFS}
			}
		}, "oneshot: TriggerFile: open PATH: read-only file system"},
		{"fstat", func(c *calls) { c.fstat = func(int, *unix.Stat_t) error { return unix.EIO } }, "oneshot: TriggerFile: fstat PATH: input/output error"},
		{"a device", stat(func(st *unix.Stat_t) { st.Mode = unix.S_IFCHR | 0o600 }), "oneshot: TriggerFile: PATH is not a regular file; remove it or name another"},
		{"another's file", stat(func(st *unix.Stat_t) { st.Uid = uint32(os.Geteuid()) + 1 }), "who could open the manhole; remove it or name another"},
		{"a file for the group", stat(func(st *unix.Stat_t) { st.Mode |= 0o020 }), "PATH may be written by others (mode 0620); chmod go-w PATH"},
		{"inotify_init1 EMFILE", inotify(unix.EMFILE), watched + "inotify_init1: too many open files; raise the limit (sysctl fs.inotify; ulimit -n) or " + signal},
		{"inotify_init1 ENOMEM", inotify(unix.ENOMEM), watched + "inotify_init1: cannot allocate memory; " + signal},
		{"inotify_init1 EPERM", inotify(unix.EPERM), watched + "inotify_init1: operation not permitted; allow the system call (seccomp) or " + signal},
		{"inotify_init1 ENOSYS", inotify(unix.ENOSYS), watched + "inotify_init1: function not implemented; allow the system call (seccomp) or " + signal},
		{"inotify_add_watch ENOSPC", watching(unix.ENOSPC), watched + "inotify_add_watch: no space left on device; raise the limit (sysctl fs.inotify; ulimit -n) or " + signal},
		{"inotify_add_watch EACCES", watching(unix.EACCES), watched + "inotify_add_watch: permission denied; " + signal},
		{"inotify_add_watch ENOENT, EACCES", watching(unix.ENOENT, unix.EACCES), watched + "inotify_add_watch: permission denied; " + signal},
		{"F_SETOWN", fcntl(unix.F_SETOWN, unix.EPERM), watched + "fcntl F_SETOWN: operation not permitted; allow the system call (seccomp) or " + signal},
		{"F_SETFL", fcntl(unix.F_SETFL, unix.EINVAL), watched + "fcntl O_ASYNC: invalid argument; " + signal},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(testwait.TempDir(t), "trigger")
			sys := kernel
			test.change(&sys)
			before := descriptors(t)
			file, err := newFile(path, Config{Process: func() (int, bool) { return os.Getpid(), true }}, sys)
			require.Nil(t, file)
			require.ErrorContains(t, err, strings.ReplaceAll(test.says, "PATH", path))
			require.Equal(t, before, descriptors(t))
		})
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// No window may open, and the log must say why.
func TestACallFailsWhileTheFileIsWatched(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*calls)
		act    func(path string) error
		says   string
	}{
		{"open", func(c *calls) {
			c.open = func(path string, _ int, _ os.FileMode) (*os.File, error) {
				return nil, &os.PathError{Op: "open", Path: path, Err: unix.EMFILE}
			}
		}, writePID, "too many open files"},
		{"read", func(c *calls) { c.content = func(*os.File) ([]byte, error) { return nil, unix.EIO } }, writePID, "input/output error"},
		{"inotify_add_watch", func(c *calls) { c.addWatch = func(int, string, uint32) (int, error) { return -1, unix.ENOSPC } },
			func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) }, "the trigger file is not watched any more"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file, out, opened := watch(t)
			defer file.Close()
			file.mu.Lock()
			test.change(&file.sys)
			file.mu.Unlock()
			require.NoError(t, test.act(file.path))
			testwait.Eventually(t, func() bool {
				file.Drain()
				file.Log.Flush(testwait.Patience)
				return strings.Contains(out.String(), test.says)
			}, "the log does not say why: %s", out)
			testwait.Group(t, &file.looking, "the looks at the file")
			require.Empty(t, opened)

			// When the calls succeed again, the next write opens a window, if the file is still
			// watched.
			if test.name != "inotify_add_watch" {
				file.mu.Lock()
				file.sys = kernel
				file.mu.Unlock()
				require.NoError(t, writePID(file.path))
				testwait.Eventually(t, func() bool { file.Drain(); return len(opened) == 1 }, "it does not open")
			}
		})
	}
}

func writePID(path string) error {
	return os.WriteFile(path, fmt.Appendln(nil, os.Getpid()), 0o600)
}
