package eval

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// deepCost walks through everything inside the arguments. It counts a value as often as
// it occurs, because the function also writes or flattens it that often: 40 nested
// [a, a] have 2^40 elements.
func deepCost(m *meter, args []any) uint64 { return walkCost(&walk{m: m, left: m.left}, args) }

func jsonCost(m *meter, args []any) uint64 {
	return walkCost(&walk{m: m, left: m.left, json: true}, args)
}

func walkCost(w *walk, args []any) uint64 {
	for _, arg := range args {
		if !w.value(reflect.ValueOf(arg), 0) {
			return w.m.left + 1
		}
	}
	return w.m.left - w.left
}

// walk computes the cost of a function, and reads only the data that the function
// itself will read. The program may write other data, behind pointers or in
// unexported fields, at the same time, and reading a map during a write ends the
// process.
type walk struct {
	m    *meter
	left uint64
	json bool            // follow pointers and skip unexported fields, as encoding/json does
	seen map[object]bool // follow each pointer once, as reflect.DeepEqual does; nil: do not follow them
}

// object is what a pointer leads to.
type object struct {
	t  reflect.Type
	at uintptr
}

// first reports whether to follow a pointer.
func (w *walk) first(v reflect.Value) bool {
	if w.json || w.seen == nil || v.IsNil() {
		return w.json
	}
	o := object{v.Type(), v.Pointer()}
	if w.seen[o] {
		return false
	}
	w.seen[o] = true
	return true
}

// maxDepth is the limit that expr has for flatten. The stack has room for more.
const maxDepth = 10_000

func (w *walk) pay(n uint64) bool {
	if n > w.left || w.m.ctx.Err() != nil {
		return false
	}
	w.left -= n
	return true
}

// value walks through v. It returns false if the cost is more than what is left.
func (w *walk) value(v reflect.Value, depth int) bool {
	// In indented JSON, each level adds two spaces to a line.
	if !w.pay(elementSize+2*uint64(depth)) || depth > maxDepth {
		return false
	}
	if !v.IsValid() || w.writesItself(v) {
		return true
	}
	switch v.Kind() {
	case reflect.String:
		return w.pay(uint64(v.Len()))
	case reflect.Interface:
		return w.value(v.Elem(), depth+1)
	case reflect.Pointer:
		return !w.first(v) || w.value(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if !w.value(v.Index(i), depth+1) {
				return false
			}
		}
	case reflect.Map:
		for iter := v.MapRange(); iter.Next(); {
			if !w.value(iter.Key(), depth+1) || !w.value(iter.Value(), depth+1) {
				return false
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if w.json && !f.IsExported() && !f.Anonymous {
				continue
			}
			if !w.pay(uint64(len(f.Name))) || !w.value(v.Field(i), depth+1) {
				return false
			}
		}
	}
	return true
}

// writesItself reports whether v has a method that the function calls instead of
// reading the fields. It looks at the type only, since Interface would copy v.
func (w *walk) writesItself(v reflect.Value) bool {
	if w.seen != nil || !v.CanInterface() || v.Kind() == reflect.Interface {
		return false
	}
	writers := textWriters
	if w.json {
		writers = jsonWriters
	}
	return slices.ContainsFunc(writers, v.Type().Implements)
}

var (
	jsonWriters = []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()}
	textWriters = []reflect.Type{reflect.TypeFor[fmt.Formatter](), reflect.TypeFor[fmt.Stringer](), errorType}
)
