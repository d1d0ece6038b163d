//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package inside

import (
	"reflect"
	"runtime"
	"runtime/debug"
	"unsafe"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// Bounds of what is searched.
const (
	maxGoroutines = 1 << 28
	maxData       = 256 << 20
)

// findList returns the address of runtime.allgs, or 0. No name leads to it, so findList
// searches the program's data for a slice of its shape: it is in the heap, the first
// goroutine has the id 1, and the calling one is in it.
func findList(l *layout.Layout) uintptr {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	module := findfunc(reflect.ValueOf(runtime.NumGoroutine).Pointer()).module
	start, end := moduleWord(module, l.ModuleData.BSS), moduleWord(module, l.ModuleData.EBSS)
	if start%8 != 0 || end <= start || end-start > maxData {
		return 0
	}
	isData := func(addr uintptr) bool {
		return addr >= moduleWord(module, l.ModuleData.Text) && addr < max(end, moduleWord(module, l.ModuleData.ENoPtrBSS))
	}
	for at := start; at+24 <= end; at += 8 {
		n, room := load(at+8), load(at+16)
		if n < 2 || n > room || room > maxGoroutines || int(n) < runtime.NumGoroutine() {
			continue
		}
		if list := load(at); list >= 4096 && list%8 == 0 && !isData(list) && twice(list, at, start, end) && isList(l, list, int(n)) {
			return at
		}
	}
	return 0
}

// twice reports whether a word is in the data at another place too: runtime.allgptr has
// the address of the same list. It keeps isList from addresses that are something else.
func twice(word, not, start, end uintptr) bool {
	for at := start; at+8 <= end; at += 8 {
		if at != not && load(at) == word {
			return true
		}
	}
	return false
}

// isList reports whether the calling goroutine is in a list that begins with main.
func isList(l *layout.Layout, list uintptr, n int) (found bool) {
	defer func() {
		if isFault(recover()) {
			found = false
		}
	}()
	self := getg()
	for i := range n {
		if load(list+8*uintptr(i)) == self {
			return load(load(list)+uintptr(l.G.GoID)) == 1
		}
	}
	return false
}

func moduleWord(module unsafe.Pointer, at layout.Offset) uintptr {
	return *(*uintptr)(unsafe.Add(module, at))
}

// list returns the addresses of all runtime.g. The runtime may be just appending to the
// list, so its header counts only if it is the same twice.
func list(allgs uintptr) []uintptr {
	var a, b [3]uint64
	for {
		copyWords(&a[0], allgs, len(a))
		pointer := loadPointer(allgs)
		copyWords(&b[0], allgs, len(b))
		if a == b && uintptr(pointer) == uintptr(a[0]) && a[1] <= a[2] {
			return unsafe.Slice((*uintptr)(pointer), int(a[1]))
		}
	}
}
