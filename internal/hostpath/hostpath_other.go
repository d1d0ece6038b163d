//go:build !linux

package hostpath

// Of returns "": only Linux has mount namespaces and /proc/PID/root.
func Of(string, int) string { return "" }
