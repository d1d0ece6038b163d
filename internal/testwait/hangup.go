//go:build unix

package testwait

import (
	"os"
	"os/signal"
	"syscall"
)

// HeedHangup makes the programs that a test starts end by SIGHUP, as they do in a
// terminal, even if the tests themselves run under nohup. Call it in TestMain.
func HeedHangup() {
	if !signal.Ignored(syscall.SIGHUP) {
		return
	}
	// A program that is started inherits what is ignored, but no handler.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
}
