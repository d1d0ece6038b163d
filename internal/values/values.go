// Package values shows any Go value of a running program to a person, with its
// type and fields. The text is bounded in depth and size. The package reads values
// through reflect only.
//
// The package cannot stop the program. It reads values while other goroutines may
// write them. This has consequences:
//
//   - If the program writes a map at the same time, the process ends: "fatal
//     error: concurrent map iteration and map write" is not a panic, and cannot be
//     recovered. A caller that passes a value with maps is responsible for the
//     lock. It can, for example, pass a func() any that takes the lock and returns
//     a copy.
//   - Any other value that is written at the same time may be read half old and
//     half new. If such a value leads to memory that does not exist, the text
//     contains "!unreadable" there.
//   - String, Error and LogValue are the program's own code. They may block, take
//     a lock that the caller holds, or recurse without end, which ends the process
//     too. Call this package in a goroutine that can be abandoned. A method that
//     calls runtime.Goexit ends that goroutine.
//
// The package calls no other methods than these three (and Load of sync/atomic).
// It calls them only on values that it reached through exported fields, and never
// on nil. It calls them on the original value: only keys and values of maps are
// copied. A method with a pointer receiver is not called on a value that has no
// address. The value of LogValue is shown instead of the fields, because it may be
// there to hide them. It does not hide an unexported field, since LogValue is not
// called there.
package values

import (
	"io"
	"reflect"
	"runtime/debug"
)

const (
	maxDepth    = 8         // levels of structs, slices and maps inside each other
	maxElements = 100       // elements of a slice, array or map
	maxString   = 4 << 10   // bytes of a string
	maxHex      = 256       // bytes that are shown in hexadecimal
	maxKey      = 256       // bytes of the text of a map's key
	maxTotal    = 256 << 10 // bytes that Write writes
	maxType     = 200       // bytes of a type's name; the name of an unnamed struct type lists its fields
	maxCopied   = 16 << 20  // bytes of a map's keys and values, since reflect copies them
)

const cutLine = "\n... cut off here, there is more than 256 KiB\n"

// Type returns the name of the value's type for a person: main.Cache, *sync.Mutex,
// map[string][]int, nil.
func Type(v any) string {
	if v == nil {
		return "nil"
	}
	return typeName(reflect.TypeOf(v))
}

// WriteWithoutMaps is like Write, but writes only the number of entries of a map.
// It is for values that the program may write at the same time.
func WriteWithoutMaps(w io.Writer, v any) error {
	_, err := io.WriteString(w, text(v, true))
	return err
}

// ShortWithoutMaps is like Short, without the entries of maps.
func ShortWithoutMaps(v any, max int) string {
	p := printer{limit: max, line: true, noMaps: true}
	p.print(v, place{bare: true})
	return p.short()
}

// Short returns the value on one line of at most max bytes. It leaves out the
// outermost type and the & of a pointer, so the text can stand beside that of
// Type. The text of Error or String replaces the fields. The package comment lists
// the duties of the caller.
func Short(v any, max int) string {
	p := printer{limit: max, line: true}
	p.print(v, place{bare: true})
	return p.short()
}

// Write writes the whole value in at most 256 KiB, with a line for each field or
// element. It reads everything first and then writes once. It leaves out fields
// named _. The package comment lists the duties of the caller.
func Write(w io.Writer, v any) error {
	_, err := io.WriteString(w, Text(v))
	return err
}

// Text returns the text that Write writes.
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
	// Without this, a torn slice or a mapped file that was truncated would end the
	// process.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	p.value(reflect.ValueOf(v), at)
}
