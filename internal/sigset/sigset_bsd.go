//go:build darwin || freebsd

package sigset

import "syscall"

func systemNotForUse(syscall.Signal) string { return "" }
