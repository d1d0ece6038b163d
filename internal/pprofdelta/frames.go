package pprofdelta

import (
	"runtime"
	"slices"
	"strings"
)

// frames symbolizes a stack. It leaves out goexit at the end, and frames without a
// name. With hideTop it also leaves out the runtime's functions at the top, unless
// there are no others. Type arguments are not available from the public functions
// of runtime: a name is f[...] here, and f[go.shape.int] in the files of
// runtime/pprof.
func frames(stack []uintptr, hideTop bool) []runtime.Frame {
	if end := slices.Index(stack, 0); end >= 0 {
		stack = stack[:end]
	}
	if len(stack) == 0 {
		return nil
	}
	var all []runtime.Frame
	for it, more := runtime.CallersFrames(stack), true; more; {
		var f runtime.Frame
		if f, more = it.Next(); f.Function != "" && f.Function != "runtime.goexit" {
			all = append(all, f)
		}
	}
	if hideTop {
		if i := slices.IndexFunc(all, func(f runtime.Frame) bool { return !ofRuntime(f.Function) }); i > 0 {
			return all[i:]
		}
	}
	return all
}

// ofRuntime reports whether a function belongs to the runtime.
func ofRuntime(function string) bool {
	return strings.HasPrefix(function, "runtime.") || strings.HasPrefix(function, "internal/runtime/")
}

// inlined reports whether the compiler has inlined f into caller. The two are then
// one location of the profile. runtime/pprof uses the same test (pcDeck in its
// proto.go).
func inlined(f, caller runtime.Frame) bool {
	return f.Func == nil && f.Entry != 0 && f.Entry == caller.Entry && f.Function != caller.Function
}
