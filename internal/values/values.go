// Package values shows any Go value of a running program to a person, with its
// type and fields. The text is bounded in depth and size. The package also makes
// the texts of errors and panics (Failure, Contain).
//
// The package cannot stop the program, so there are two ways to read a value:
//
//   - WriteLive and ShortLive are for a value that other goroutines may write at
//     the same moment. They cannot end the program; live.go explains the rules.
//   - Write, Text and Short are for a value that nobody else writes, such as a copy
//     that a func() any of the program has made under its lock. They read all of
//     it. If another goroutine writes it after all, the program may end. A map ends
//     it with "fatal error: concurrent map iteration and map write", which is not a
//     panic and cannot be recovered. An interface, string or slice that is half old
//     and half new leads to memory that does not exist, or to a method with a wrong
//     receiver. Often, but not always, the text then contains "!unreadable".
//
// String, Error and LogValue are the program's own code. They may block, take a
// lock that the caller holds, or recurse without end, which ends the process. Call
// this package in a goroutine that can be abandoned. A method that calls
// runtime.Goexit ends that goroutine. A panic of a method becomes part of the text.
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

// WriteLive is like Write, for a value that the program may write at the same
// moment. It reads only what can be read then, and says "not read" for the rest:
// it shows the value itself, and numbers, booleans and pointers behind pointers, and
// calls no methods. complete is false if something was left out.
func WriteLive(w io.Writer, v any) (complete bool, err error) {
	p := printer{limit: maxTotal - len(cutLine), live: true, silent: true}
	_, err = io.WriteString(w, p.whole(v))
	return !p.left, err
}

// ShortLive is like Short, with the rules of WriteLive.
func ShortLive(v any, max int) string {
	p := printer{limit: max, line: true, live: true, silent: true}
	p.print(v, place{bare: true})
	return p.short()
}

// Short returns the value on one line of at most max bytes. It leaves out the
// outermost type and the & of a pointer, so the text can stand beside that of
// Type. The text of Error or String replaces the fields.
func Short(v any, max int) string {
	p := printer{limit: max, line: true}
	p.print(v, place{bare: true})
	return p.short()
}

// Write writes the whole value in at most 256 KiB, with a line for each field or
// element. It reads everything first and then writes once. It leaves out fields
// named _.
func Write(w io.Writer, v any) error {
	_, err := io.WriteString(w, Text(v))
	return err
}

// Text returns the text that Write writes.
func Text(v any) string {
	p := printer{limit: maxTotal - len(cutLine)}
	return p.whole(v)
}

func (p *printer) whole(v any) string {
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
