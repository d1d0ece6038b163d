//go:build !gc || !go1.26 || go1.28 || oneshot_portable

package stack

// recordsKnown reports whether records.go is compiled in.
const recordsKnown = false

// records returns false: this build must read the profile as text.
func (p *profiler) records() bool { return false }
