//go:build !linux

package oneshot

import "github.com/gomanhole/oneshot/internal/sigset"

// blockSignals does nothing. Without the C library, only Linux has a system call
// for it.
func blockSignals(sigset.Set) (restore func()) { return func() {} }
