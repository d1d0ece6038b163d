package values

import (
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"
	"unsafe"
)

// This file: values that the program may write at the same moment.
//
// An interface holds a copy that nobody writes. So a local itself can be read, and also
// the fields of a struct that the local holds by value. Everything behind a pointer may
// change while it is read. There, a variable of one machine word has either its old or
// its new value (The Go Memory Model, "Implementation Restrictions for Programs
// Containing Data Races"), so numbers, booleans and pointers are read. A variable of
// several words may be half old and half new: an interface with the type of one value
// and the data of another, or a string with the wrong length. Using such a value can end
// the program, and so can holding it while the collector runs. Maps check for concurrent
// writers, and end the program if they find one. So of all these, the printer shows at
// most the number of elements.

// settle returns a copy of v that nobody writes. A struct or an array is returned
// as it is, because its fields or elements are settled one by one. If there is
// nothing that can be copied, settle prints what v is and returns false.
func (p *printer) settle(v reflect.Value, at place) (settled reflect.Value, ok bool) {
	if Hides(v.Type()) {
		p.notRead(v, "", at)
		return v, false
	}
	switch k := v.Kind(); k {
	case reflect.Struct:
		switch v.Type() {
		case reflect.TypeFor[reflect.Value](), reflect.TypeFor[time.Location]():
			if v.CanAddr() {
				p.notRead(v, "", at)
				return v, false
			}
		}
		return v, true
	case reflect.Array:
		return v, true
	case reflect.Slice, reflect.Map:
		if !v.CanAddr() {
			return v, v.IsNil() || p.notRead(v, comma(v.Len()), at)
		}
		if word(v, 0) == 0 {
			return reflect.Zero(v.Type()), true
		}
		if k == reflect.Map {
			return v, p.notRead(v, comma(load(v).Len()), at)
		}
		return v, p.notRead(v, comma(int(word(v, 1))), at)
	case reflect.Interface, reflect.String:
		switch {
		case !v.CanAddr():
			return v, true
		case k == reflect.String:
			return v, p.notRead(v, comma(int(word(v, 1)))+" bytes", at)
		case word(v, 0) == 0:
			return reflect.Zero(v.Type()), true
		}
		return v, p.notRead(v, "", at)
	}
	if v.CanAddr() {
		return load(v), true
	}
	return v, true
}

// notRead prints the type of v instead of its contents. It returns false.
func (p *printer) notRead(v reflect.Value, size string, at place) bool {
	p.left = true
	opening, closing := "(", ")"
	if k := v.Kind(); k == reflect.Slice || k == reflect.Map {
		opening, closing = "{", "}"
	}
	if size != "" {
		size += " "
	}
	name := typeName(v.Type())
	if at.bare {
		name = ""
	}
	p.write(name + opening + size + "not read" + closing)
	return false
}

// Hides reports whether a type has the method LogValue. It may exist to hide the value.
// For a live value it cannot be called, and the fields must not be shown instead.
func Hides(t reflect.Type) bool {
	valuer := reflect.TypeFor[slog.LogValuer]()
	return t.Kind() != reflect.Interface && (t.Implements(valuer) || t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(valuer))
}

// word returns the word with that number of a variable.
func word(v reflect.Value, n int) uintptr {
	return atomic.LoadUintptr((*uintptr)(unsafe.Add(address(v), n*int(unsafe.Sizeof(uintptr(0))))))
}

// Load returns a copy of a number, a boolean or a pointer that the program may write
// at the same moment, or of the one in a type of sync/atomic. A string is returned
// if nobody can write it. For all others, ok is false.
func Load(v reflect.Value) (copied reflect.Value, ok bool) {
	switch k := v.Kind(); {
	case Hides(v.Type()):
		return v, false
	case k == reflect.Struct && v.Type().PkgPath() == "sync/atomic":
		held, ok := loaded(v)
		return held, ok && (isNumber(held.Kind()) || held.Kind() == reflect.Pointer && !isBad(held.Pointer()))
	case k == reflect.String:
		return v, !v.CanAddr()
	case isNumber(k), k == reflect.Pointer:
		if v.CanAddr() {
			v = load(v)
		}
		return v, k != reflect.Pointer || !isBad(v.Pointer())
	}
	return v, false
}

// isNumber reports whether a value is a number or a boolean.
func isNumber(k reflect.Kind) bool { return k >= reflect.Bool && k <= reflect.Complex128 }

// address also works for an unexported field.
func address(v reflect.Value) unsafe.Pointer { return unsafe.Pointer(v.UnsafeAddr()) }

// load returns a copy of a variable. A variable of one word is read atomically, as
// are 64 bits if their address allows it.
func load(v reflect.Value) reflect.Value {
	c := reflect.New(v.Type())
	to, from := c.UnsafePointer(), address(v)
	switch v.Kind() {
	case reflect.Pointer, reflect.UnsafePointer, reflect.Map, reflect.Chan, reflect.Func:
		// This must be one statement: a pointer that is invalid, as C code may leave it,
		// must not be on the stack when the stack grows.
		*(*unsafe.Pointer)(to) = atomic.LoadPointer((*unsafe.Pointer)(from))
		return c.Elem()
	}
	switch size := v.Type().Size(); {
	case size%8 == 0 && uintptr(from)%8 == 0: // a complex number has two parts
		for n := uintptr(0); n < size; n += 8 {
			*(*uint64)(unsafe.Add(to, n)) = atomic.LoadUint64((*uint64)(unsafe.Add(from, n)))
		}
	case size%4 == 0:
		for n := uintptr(0); n < size; n += 4 {
			*(*uint32)(unsafe.Add(to, n)) = atomic.LoadUint32((*uint32)(unsafe.Add(from, n)))
		}
	case size == 2:
		*(*uint16)(to) = *(*uint16)(from) // one instruction
	default:
		*(*uint8)(to) = *(*uint8)(from)
	}
	return c.Elem()
}

// isBad reports whether a pointer cannot point to anything. Such a pointer, for
// example a number that C code keeps there, ends the program when it is on the
// stack of a goroutine that grows (runtime/stack.go, adjustpointers).
func isBad(address uintptr) bool {
	const lowest = 4096 // minLegalPointer in runtime/malloc.go
	return 0 < address && address < lowest
}
