//go:build unix && !linux

package bundle

// renameNew renames a file in a folder, and replaces no other one. POSIX has no rename that
// does that.
func renameNew(dir int, from, to string) error { return linkNew(dir, from, to) }
