//go:build unix

package bundle

import "golang.org/x/sys/unix"

// linkNew renames a file in a folder in two steps, and replaces no other one. For a moment
// the file has both names.
func linkNew(dir int, from, to string) error {
	if err := unix.Linkat(dir, from, dir, to, 0); err != nil {
		return err
	}
	return unix.Unlinkat(dir, from, 0)
}
