//go:build !linux

package oneshot

// blockSignals needs a system call that only Linux has without the C library.
func blockSignals(SignalSet) (restore func()) { return func() {} }
