//go:build !(linux || darwin || freebsd)

package sigset

import (
	"errors"
	"syscall"
)

func Raise(syscall.Signal) error             { return errors.ErrUnsupported }
func systemSignalName(syscall.Signal) string { return "" }
func Unusable(syscall.Signal) string         { return "" }
