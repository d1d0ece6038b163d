//go:build darwin || freebsd

package sigset

import "syscall"

// systemNotForUse returns an empty string: no other signals are reserved here.
func systemNotForUse(syscall.Signal) string { return "" }
