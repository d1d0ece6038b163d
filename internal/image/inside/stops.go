//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"runtime"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// stops finds out how goroutines have stopped. Nearly all have the same program counter,
// since they wait.
type stops struct {
	pc uintptr // the last one that was looked up
	is layout.Stop
}

// at returns how a goroutine has stopped whose saved program counter is pc.
func (s *stops) at(pc uintptr) layout.Stop {
	if pc != s.pc {
		s.pc, s.is = pc, layout.Preempted
		f := runtime.FuncForPC(pc)
		if f != nil && f.Entry() != pc { // pc is a return address, and the call may be the last of an inlined function
			f = runtime.FuncForPC(pc - 1)
		}
		if f != nil {
			s.is = layout.StopIn(f.Name())
		}
	}
	return s.is
}
