//go:build !(linux || darwin || freebsd)

package dump

// FullPipe always returns false: this system has no way to find out.
func FullPipe(int) bool { return false }
