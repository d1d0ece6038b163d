package document

import (
	"context"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Streamer is a document with a list that is too long to be made before it is written.
type Streamer interface {
	// Elements returns the elements of the field with this JSON name, or nil if the list
	// in the field is complete.
	Elements(field string) func(yield func(any) bool)
}

// Write writes a document as one JSON object. Each field of the object, and each element
// of a list in it, has a line of its own. It stops when w returns an error or ctx ends.
//
// It does what encoding/json does for structs with tags, with three differences. It does
// not keep the whole text in memory. A character that is not printable is written as an
// escape, so that the text is safe for a terminal. A byte that is not UTF-8 becomes \xNN,
// as in the text form, and is not lost.
func Write(ctx context.Context, w io.Writer, v any) error {
	e := &encoder{ctx: ctx, w: w}
	e.stream, _ = v.(Streamer)
	e.value(reflect.ValueOf(v), 0)
	e.buf = append(e.buf, '\n')
	e.flush()
	return e.err
}

// flushAt is the number of bytes that are written at a time.
const flushAt = 16 << 10

// linesTo is the depth to which each element has a line of its own.
const linesTo = 2

type encoder struct {
	ctx    context.Context
	w      io.Writer
	stream Streamer // the document, or nil
	buf    []byte
	err    error
}

func (e *encoder) flush() {
	if e.err == nil && e.ctx.Err() != nil {
		e.err = context.Cause(e.ctx)
	}
	if e.err == nil {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// next begins an element of an object or a list. It returns false after an error.
func (e *encoder) next(first *bool, depth int) bool {
	if !*first {
		e.buf = append(e.buf, ',')
	}
	*first = false
	e.line(depth)
	if len(e.buf) >= flushAt {
		e.flush()
	}
	return e.err == nil
}

func (e *encoder) line(depth int) {
	if depth < linesTo {
		e.buf = append(e.buf, '\n')
	}
}

// value writes one value. depth is the number of objects and lists around it.
func (e *encoder) value(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Invalid:
		e.buf = append(e.buf, "null"...)
	case reflect.Pointer, reflect.Interface:
		e.value(v.Elem(), depth)
	case reflect.Struct:
		e.buf = append(e.buf, '{')
		first := true
		e.fields(v, depth, &first)
		e.line(depth)
		e.buf = append(e.buf, '}')
	case reflect.Slice:
		e.list(depth, func(yield func(reflect.Value) bool) {
			for i := 0; i < v.Len() && yield(v.Index(i)); i++ {
			}
		})
	case reflect.Map:
		e.object(v, depth)
	case reflect.String:
		e.buf = appendString(e.buf, v.String())
	case reflect.Bool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case reflect.Float32, reflect.Float64:
		e.buf = appendFloat(e.buf, v.Float())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.buf = strconv.AppendUint(e.buf, v.Uint(), 10)
	default: // a document has no other kinds than integers here; TestEncodeAgreesWithEncodingJSON
		e.buf = strconv.AppendInt(e.buf, v.Int(), 10)
	}
}

// list writes the values of a list.
func (e *encoder) list(depth int, each func(yield func(reflect.Value) bool)) {
	e.buf = append(e.buf, '[')
	first := true
	each(func(v reflect.Value) bool {
		if !e.next(&first, depth) {
			return false
		}
		e.value(v, depth+1)
		return true
	})
	if !first {
		e.line(depth)
	}
	e.buf = append(e.buf, ']')
}

// object writes a map from names.
func (e *encoder) object(v reflect.Value, depth int) {
	values := make(map[string]reflect.Value, v.Len())
	for it := v.MapRange(); it.Next(); {
		values[it.Key().String()] = it.Value()
	}
	e.buf = append(e.buf, '{')
	first := true
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !e.next(&first, depth) {
			return
		}
		e.buf = append(appendString(e.buf, name), ':')
		e.value(values[name], depth+1)
	}
	if !first {
		e.line(depth)
	}
	e.buf = append(e.buf, '}')
}

// fields writes the fields of a struct, with those of the structs that are embedded in it.
func (e *encoder) fields(v reflect.Value, depth int, first *bool) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			e.fields(v.Field(i), depth, first)
			continue
		case name == "" || name == "-": // it is for the text form
			continue
		case options == "omitempty" && (v.Field(i).IsZero() || f.Type.Kind() == reflect.Slice && v.Field(i).Len() == 0):
			continue
		}
		if !e.next(first, depth) {
			return
		}
		e.buf = append(appendString(e.buf, name), ':')
		if e.stream != nil && depth == 0 && f.Type.Kind() == reflect.Slice {
			if elements := e.stream.Elements(name); elements != nil {
				e.list(depth+1, func(yield func(reflect.Value) bool) {
					elements(func(element any) bool { return yield(reflect.ValueOf(element)) })
				})
				continue
			}
		}
		e.value(v.Field(i), depth+1)
	}
}

// appendFloat appends a number, or null for what JSON has no number for.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return append(b, "null"...)
	case f != 0 && (math.Abs(f) < 1e-6 || math.Abs(f) >= 1e21):
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// appendString appends a string in quotes.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b = appendHex(append(b, `\\x`...), uint32(s[i]), 2)
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case unicode.IsPrint(r):
			b = append(b, s[i:i+size]...)
		case r > 0xffff:
			r -= 0x10000
			b = appendHex(append(b, `\u`...), uint32(0xd800+r>>10), 4)
			b = appendHex(append(b, `\u`...), uint32(0xdc00+r&0x3ff), 4)
		default:
			b = appendHex(append(b, `\u`...), uint32(r), 4)
		}
		i += size
	}
	return append(b, '"')
}

// appendHex appends the last n hexadecimal digits of a number.
func appendHex(b []byte, v uint32, n int) []byte {
	for n--; n >= 0; n-- {
		b = append(b, "0123456789abcdef"[v>>(4*n)&15])
	}
	return b
}
