// Package values shows any Go value of a running program to a person: with its
// type and fields, bounded in depth and size, reading through reflect alone.
//
// What it cannot do is stop the program. It reads while others may write, so:
//
//   - A map that the program writes meanwhile ends the process: "fatal error:
//     concurrent map iteration and map write" is no panic, nothing recovers from
//     it. Whoever hands a value with maps in it sees to the lock, for example by
//     giving a func() any that takes it and returns a copy.
//   - Other values that are written meanwhile are read torn at worst. Where that
//     hits memory that is not there, the place reads "!unreadable".
//   - String, Error and LogValue are the program's own code. They may block, take
//     a lock that the caller holds, or recurse without end, which is fatal too.
//     Call from a goroutine that can be abandoned. One that calls runtime.Goexit
//     ends the goroutine.
//
// These three methods (and Load of sync/atomic) are all that is run, only on
// values reached through exported fields, and never on nil. The receiver stays
// where it lies: nothing is copied but what is in a map, and a method with pointer
// receiver is left out where only the value is there. The value of LogValue takes
// the place of the fields, since it may be there to hide them; it hides nothing
// in an unexported field.
package values

import (
	"io"
	"reflect"
	"runtime/debug"
)

const (
	maxDepth    = 8         // structs, slices and maps in each other
	maxElements = 100       // of a slice, array or map
	maxString   = 4 << 10   // bytes of a string
	maxHex      = 256       // bytes of what is no text
	maxKey      = 256       // bytes of a map's key, as shown
	maxTotal    = 256 << 10 // bytes that Write writes
	maxType     = 200       // bytes of a type's name; that of a struct without name has all fields
	maxCopied   = 16 << 20  // bytes of the keys and values of a map, which reflect copies
)

const cutLine = "\n... cut off here, there is more than 256 KiB\n"

// Type is the type's name for a person: main.Cache, *sync.Mutex,
// map[string][]int, nil.
func Type(v any) string {
	if v == nil {
		return "nil"
	}
	return typeName(reflect.TypeOf(v))
}

// WriteWithoutMaps is Write, but of maps it writes only how many entries there
// are: for values that the program may be writing.
func WriteWithoutMaps(w io.Writer, v any) error {
	_, err := io.WriteString(w, text(v, true))
	return err
}

// ShortWithoutMaps is Short without the entries of maps.
func ShortWithoutMaps(v any, max int) string {
	p := printer{limit: max, line: true, noMaps: true}
	p.print(v, place{bare: true})
	return p.short()
}

// Short is the value on one line of at most max bytes, for a place beside Type:
// without the outermost type and the & of a pointer. The text of Error or String
// takes the place of the fields. See the package comment for what the caller
// must see to.
func Short(v any, max int) string {
	p := printer{limit: max, line: true}
	p.print(v, place{bare: true})
	return p.short()
}

// Write writes the whole value, a field or element a line, in at most 256 KiB.
// It writes once, after it has read everything. Fields named _ are left out. See
// the package comment for what the caller must see to.
func Write(w io.Writer, v any) error {
	_, err := io.WriteString(w, Text(v))
	return err
}

// Text is what Write writes.
func Text(v any) string { return text(v, false) }

func text(v any, noMaps bool) string {
	p := printer{limit: maxTotal - len(cutLine), noMaps: noMaps}
	p.print(v, place{typed: true})
	if p.full {
		return string(p.out) + cutLine
	}
	return string(p.out) + "\n"
}

func (p *printer) print(v any, at place) {
	// A torn slice, or a mapped file that is gone, would end the process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	p.value(reflect.ValueOf(v), at)
}
