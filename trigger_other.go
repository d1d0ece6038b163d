//go:build !linux

package oneshot

import (
	"fmt"
	"os"
)

// trigger needs inotify, which only Linux has.
type trigger struct{ signals chan os.Signal }

func newTrigger(*Manhole, string) (*trigger, error) {
	return nil, fmt.Errorf("oneshot: TriggerFile: %w; only Linux has inotify", ErrUnsupported)
}

func (*trigger) drain() bool { return false }

func (*trigger) close() {}

var triggerSignal os.Signal
