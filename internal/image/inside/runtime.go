//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import "unsafe"

// These functions of the runtime can be used by other packages: the runtime keeps them
// for packages that do so already (see their comments in symtab.go, tracestack.go,
// time_nofake.go, mbitmap.go and proflabel.go). Before you extend the build constraint to another
// release, compare them, and struct funcInfo.

// findfunc returns the function that contains pc.
//
//go:linkname findfunc runtime.findfunc
func findfunc(pc uintptr) function

// findObject returns the object and the runtime.mspan of an address. If the address may
// not be one of an object, it must not be called: the runtime would end the program.
//
//go:linkname findObject runtime.findObject
func findObject(addr, refBase, refOff uintptr) (base uintptr, span unsafe.Pointer, index uintptr)

//go:linkname nanotime runtime.nanotime
func nanotime() int64

//go:linkname fpunwindExpand runtime.pprof_fpunwindExpand
func fpunwindExpand(to, stack []uintptr) int

//go:linkname setProfLabel runtime/pprof.runtime_setProfLabel
func setProfLabel(labels unsafe.Pointer)

// Expand appends the program counters of a stack as runtime.Callers returns them: calls
// that the compiler has inlined have their own, and wrapper functions have none.
func Expand(to, stack []uintptr) []uintptr {
	from := append([]uintptr{0}, stack...) // the first one says how many to skip
	for room := 2 * len(from); ; room *= 2 {
		expanded := make([]uintptr, room)
		if n := fpunwindExpand(expanded, from); n < room {
			return append(to, expanded[:n]...)
		}
	}
}

// load returns the word at an address. If there is no memory, that is a panic, provided
// that debug.SetPanicOnFault is set. In Go code, the race detector and checkptr would
// object to addresses of stacks.
func load(addr uintptr) uintptr

// getg returns the address of the calling goroutine's runtime.g.
func getg() uintptr

// loadPointer returns the pointer at an address.
func loadPointer(addr uintptr) unsafe.Pointer

// prefetch says that n bytes will be read soon. There need not be memory.
func prefetch(addr uintptr, n int)

// copyWords copies n words. What was read before the call is not read later than they,
// and what is read after it not earlier.
//
//go:noescape
func copyWords(to *uint64, from uintptr, n int)
