//go:build !linux

package oneshot

import "github.com/gomanhole/oneshot/internal/sigset"

// blockSignals needs a system call that only Linux has without the C library.
func blockSignals(sigset.Set) (restore func()) { return func() {} }
