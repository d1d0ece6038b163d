package socketpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Remedy returns what the user can do about an error of the system, such as a
// missing resource. path is that of the socket, and pid that of the process that makes
// it. Remedy returns "" if the error says enough.
func Remedy(err error, path string, pid int) string {
	dir := filepath.Dir(path)
	switch {
	case errors.Is(err, syscall.EMFILE):
		return fmt.Sprintf("raise the limit (prlimit --pid %d --nofile=N) or have the program close some", pid)
	case errors.Is(err, syscall.ENFILE):
		return "raise the limit of the system (sysctl fs.file-max)"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Sprintf("make room in %s (df -i %s)", dir, dir)
	case errors.Is(err, syscall.EROFS):
		return "make " + dir + " writable"
	case errors.Is(err, fs.ErrNotExist):
		return "create " + dir
	case errors.Is(err, fs.ErrPermission):
		return fmt.Sprintf("let uid %d write to %s", os.Geteuid(), dir)
	}
	return ""
}
