package bundle

import (
	"errors"

	"golang.org/x/sys/unix"
)

// renameNew renames a file in a folder, and replaces no other one.
func renameNew(dir int, from, to string) error {
	err := unix.Renameat2(dir, from, dir, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // the file system cannot do that, such as NFS
		return linkNew(dir, from, to)
	}
	return err
}
