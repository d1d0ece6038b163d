//go:build !gc || !go1.26 || go1.27

package stack

// records is for the releases of Go whose records are known.
func (p *profiler) records() bool { return false }
