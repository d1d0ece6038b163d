//go:build !linux || !gc || !(amd64 || arm64) || !go1.26 || go1.28 || oneshot_portable || msan || asan

package inside

import (
	"time"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// Check returns ErrUnknown.
func Check() error { return ErrUnknown }

// Read returns ErrUnknown.
func Read(Groups) error { return ErrUnknown }

// Turns returns ErrUnknown.
func Turns(func(id uint64, turns uint8, stop layout.Stop, minutes int)) error { return ErrUnknown }

// StateText is not called: there are no states.
func StateText(State) string { return "" }

// Expand is not called: there are no stacks.
func Expand(_, stack []uintptr) []uintptr { return stack }

// Unreached returns ErrUnknown.
func Unreached(time.Duration) ([]Stranded, error) { return nil, ErrUnknown }
