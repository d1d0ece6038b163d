//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"runtime"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// record is a copy of a runtime.g.
type record []uint64

func (r record) word(at layout.Offset) uint64 { return r[at/8] }
func (r record) half(at layout.Offset) uint32 { return uint32(r[at/8] >> (at % 8 * 8)) }
func (r record) byte(at layout.Offset) uint8  { return uint8(r[at/8] >> (at % 8 * 8)) }
func (r record) id(l *layout.Layout) uint64   { return r.word(l.G.GoID) }

// status returns the status without the mark of the garbage collector.
func (p *pass) status(r record) layout.Offset {
	return layout.Offset(r.half(p.layout.G.AtomicStatus) &^ uint32(p.layout.Status.Scan))
}

// state returns the status, and what the goroutine waits for, if it does.
func (p *pass) state(r record) State {
	status := p.status(r)
	if s := p.layout.Status; status == s.Waiting || status == s.Leaked {
		return State(s.Waiting)<<8 | State(r.byte(p.layout.G.WaitReason))
	}
	return State(status) << 8
}

// kind says whether a traceback shows a goroutine.
type kind uint8

const (
	absent     kind = iota // there is none
	program                // a goroutine of the program
	system                 // one of the runtime
	finalizers             // it runs finalizers: the program's, if they are
	cleanups               // the same with cleanups
)

// kindOf returns the kind of a goroutine (isSystemGoroutine in runtime/traceback.go).
func (p *pass) kindOf(r record) kind {
	start := uintptr(r.word(p.layout.G.StartPC))
	k, known := p.starts[start]
	if !known {
		k = p.startKind(start)
		p.starts[start] = k
	}
	if k == cleanups {
		k = system
		if r.byte(p.layout.G.RunningCleanups) != 0 {
			k = program
		}
	}
	return k
}

func (p *pass) startKind(start uintptr) kind {
	f := findfunc(start)
	if f.fn == nil {
		return program
	}
	switch ids := p.layout.FuncID; f.id(p.layout) {
	case ids.RuntimeMain, ids.CoroStart, ids.HandleAsyncEvent:
		return program
	case ids.RunFinalizers:
		return finalizers
	case ids.RunCleanups:
		return cleanups
	}
	if strings.HasPrefix(runtime.FuncForPC(start).Name(), "runtime.") {
		return system
	}
	return program
}
