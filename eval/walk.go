package eval

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
)

// deepCost walks what the arguments hold. What is there twice counts twice, for
// it is also written or flattened twice: forty times [a, a] are 2^40 elements.
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

// walk sees no more than the function will that it is for: what a program keeps
// behind a pointer or in a field of its own may be written at the same time, and
// of a map that would be fatal.
type walk struct {
	m    *meter
	left uint64
	json bool // as encoding/json: behind pointers, and exported fields only
}

// maxDepth is expr's own for flatten, and less than the stack has room for.
const maxDepth = 10_000

func (w *walk) pay(n uint64) bool {
	if n > w.left || w.m.ctx.Err() != nil {
		return false
	}
	w.left -= n
	return true
}

// value is false if more is there than may be paid for.
func (w *walk) value(v reflect.Value, depth int) bool {
	// An indented line of JSON has two spaces for each level.
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
		return !w.json || w.value(v.Elem(), depth+1)
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

func (w *walk) writesItself(v reflect.Value) bool {
	if !v.CanInterface() || v.Kind() == reflect.Interface {
		return false
	}
	var ok bool
	switch v.Interface().(type) {
	case json.Marshaler, encoding.TextMarshaler:
		ok = w.json
	case fmt.Formatter, fmt.Stringer, error:
		ok = !w.json
	}
	return ok
}
