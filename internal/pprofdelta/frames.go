package pprofdelta

import (
	"runtime"
	"slices"
	"strings"
)

// frames symbolizes a stack, without goexit at its end and what has no name. With
// hideTop the runtime's functions at the top go too, unless there are no others.
// The names of type parameters are not public: it is f[...] here and
// f[go.shape.int] in the files of runtime/pprof.
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

func ofRuntime(function string) bool {
	return strings.HasPrefix(function, "runtime.") || strings.HasPrefix(function, "internal/runtime/")
}

// inlined tells whether the compiler has put f into the function that called it.
// The two are then one location of the file. It is how runtime/pprof finds out
// (pcDeck in its proto.go).
func inlined(f, caller runtime.Frame) bool {
	return f.Func == nil && f.Entry != 0 && f.Entry == caller.Entry && f.Function != caller.Function
}
