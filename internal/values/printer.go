package values

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/plaintext"
)

// printer collects the text until it is full.
type printer struct {
	out   []byte
	limit int  // the maximal length of out, in bytes
	full  bool // the text was longer than limit

	line   bool        // print everything on one line
	live   bool        // the program may write the value meanwhile: see live.go
	left   bool        // something was left out because of live
	silent bool        // call no methods: the value was reached through an unexported field, or live
	path   []reference // from the outermost value to the current one
}

// place describes where a value is printed.
type place struct {
	depth  int  // the number of levels above
	indent int  // the indentation of the line
	typed  bool // print the type: the reader cannot see it from the context
	bare   bool // do not print the type, not even that of a struct
}

func (at place) deeper() place {
	return place{depth: at.depth + 1, indent: at.indent}
}

// reference identifies a pointer, map or slice. The type is part of it, because a
// struct and its first field have the same address.
type reference struct {
	t       reflect.Type
	address uintptr
	len     int
}

func (p *printer) write(s string) {
	if p.full {
		return
	}
	if room := max(p.limit-len(p.out), 0); len(s) > room {
		s, p.full = plaintext.Cut(s, room), true
	}
	p.out = append(p.out, s...)
}

// short returns the text, with dots at the end if it was longer than limit.
func (p *printer) short() string {
	if !p.full {
		return string(p.out)
	}
	const dots = "..."
	return plaintext.Cut(string(p.out), max(p.limit-len(dots), 0)) + dots[:min(max(p.limit, 0), len(dots))]
}

// value prints v. If reading v panics, it prints a note there, and the caller can
// print the rest.
func (p *printer) value(v reflect.Value, at place) {
	if p.full {
		return
	}
	silent, path := p.silent, len(p.path)
	defer func() {
		if r := recover(); r != nil {
			p.silent, p.path = silent, p.path[:path]
			p.write("!unreadable: " + panicText(r))
		}
	}()
	if p.live && v.IsValid() && at.depth <= maxDepth {
		settled, ok := p.settle(v, at)
		if !ok {
			return
		}
		v = settled
	}
	switch {
	case v.Kind() == reflect.Invalid:
		p.write("nil")
	case at.depth > maxDepth:
		p.write("...")
	case isNil(v):
		p.write("nil")
		if t := v.Type(); !at.bare && t != reflect.TypeFor[any]() {
			p.write(" " + typeName(t))
		}
	case v.Kind() == reflect.Interface:
		at.typed = true
		p.value(v.Elem(), at)
	case v.Kind() == reflect.Pointer:
		p.pointer(v, at)
	case p.known(v, at):
	default:
		object := p.object(v)
		if p.logged(v, object, at) {
			return
		}
		p.concrete(v, methodText(object), at)
	}
}

func isNil(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Chan, reflect.Func, reflect.Interface, reflect.Map, reflect.Pointer, reflect.Slice, reflect.UnsafePointer:
		return v.IsNil()
	}
	return false
}

// enter adds v to the path. If v is on the path already, enter prints a note and
// returns false.
func (p *printer) enter(v reflect.Value) bool {
	r := reference{t: v.Type(), address: v.Pointer()}
	if v.Kind() == reflect.Slice {
		r.len = v.Len()
	}
	if slices.Contains(p.path, r) {
		p.write("<cycle: " + typeName(r.t) + ">")
		return false
	}
	p.path = append(p.path, r)
	return true
}

func (p *printer) leave() { p.path = p.path[:len(p.path)-1] }

func (p *printer) pointer(v reflect.Value, at place) {
	if isBad(v.Pointer()) {
		p.write("!no pointer: 0x" + strconv.FormatUint(uint64(v.Pointer()), 16))
		return
	}
	if !p.enter(v) {
		return
	}
	defer p.leave()
	if !at.bare {
		p.write("&")
	}
	at.typed = true
	switch v.Elem().Kind() {
	case reflect.Pointer, reflect.Interface: // other kinds count their own level, or have no further ones
		at.depth++
	}
	p.value(v.Elem(), at)
}

// concrete prints a value that is neither a pointer nor an interface. text is the
// result of its method Error or String.
func (p *printer) concrete(v reflect.Value, text string, at place) {
	switch v.Kind() {
	case reflect.Struct:
		p.structure(v, text, at)
	case reflect.Map:
		p.mapping(v, text, at)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem() == reflect.TypeFor[byte]() {
			p.scalar(v, bytesText(v), text, at)
			return
		}
		p.elements(v, text, at)
	default:
		p.scalar(v, scalarText(v), text, at)
	}
}

func (p *printer) structure(v reflect.Value, text string, at place) {
	t := v.Type()
	var fields []int
	for i := range t.NumField() {
		if t.Field(i).Name != "_" { // padding, noCopy
			fields = append(fields, i)
		}
	}
	p.list(v, text, at, len(fields), len(fields), func(i int, at place) {
		p.write(t.Field(fields[i]).Name + ": ")
		p.value(v.Field(fields[i]), at)
	})
}

func (p *printer) elements(v reflect.Value, text string, at place) {
	if v.Kind() == reflect.Slice && v.Len() > 0 {
		if !p.enter(v) {
			return
		}
		defer p.leave()
	}
	p.list(v, text, at, min(v.Len(), maxElements), v.Len(), func(i int, at place) {
		if !p.line {
			p.write(comma(i) + ": ")
		}
		p.value(v.Index(i), at)
	})
}

func (p *printer) mapping(v reflect.Value, text string, at place) {
	if !p.enter(v) {
		return
	}
	defer p.leave()
	var entries []entry
	if !p.textOnly(text, at) {
		entries = readMap(v)
	}
	p.list(v, text, at, len(entries), max(v.Len(), len(entries)), func(i int, at place) {
		key := printer{limit: maxKey, line: true, silent: p.silent, path: p.path}
		key.value(entries[i].key, place{depth: at.depth})
		p.write(key.short() + ": ")
		p.value(entries[i].value, at)
	})
}

// textOnly reports whether to leave out the fields and elements.
func (p *printer) textOnly(text string, at place) bool {
	return at.depth >= maxDepth || p.line && text != ""
}

// list prints n of total fields or elements in braces.
func (p *printer) list(v reflect.Value, text string, at place, n, total int, item func(i int, at place)) {
	name := typeName(v.Type())
	if at.bare {
		name = ""
	}
	switch {
	case p.textOnly(text, at) && text != "":
		p.write(parens(name, text))
		return
	case total == 0:
		p.write(strings.TrimSuffix(name+"{} // "+text, " // "))
		return
	case p.textOnly(text, at):
		p.write(name + "{...}")
		return
	}
	if k := v.Kind(); at.bare && (k == reflect.Slice || k == reflect.Map) {
		p.write("len " + comma(total) + " ")
	}
	p.write(name + "{")
	if text != "" {
		p.write(" // " + text)
	}
	inner := place{depth: at.depth + 1, indent: at.indent + 1}
	for i := 0; i < n && !p.full; i++ {
		p.next(i, inner.indent)
		item(i, inner)
	}
	if n < total {
		p.next(n, inner.indent)
		p.write("... " + comma(total-n) + " more")
	}
	if !p.line {
		p.write(newline(at.indent))
	}
	p.write("}")
}

// newline returns the beginning of a line. No line is deeper than maxDepth+1.
func newline(indent int) string {
	const deep = "\n                                        "
	return deep[:min(1+2*indent, len(deep))]
}

// next begins the place of element i.
func (p *printer) next(i, indent int) {
	switch {
	case !p.line:
		p.write(newline(indent))
	case i > 0:
		p.write(", ")
	}
}

// scalar shows a value of one part.
func (p *printer) scalar(v reflect.Value, s, text string, at place) {
	t, k := v.Type(), v.Kind()
	switch {
	case at.bare:
	case k == reflect.Chan:
		s = typeName(t) + " (" + s + ")"
	case k == reflect.Func:
		name := "func"
		if t.Name() != "" {
			name = typeName(t)
		}
		s = name + " " + s
	case t.PkgPath() != "", k == reflect.UnsafePointer, k == reflect.Slice, k == reflect.Array,
		at.typed && k != reflect.String && k != reflect.Bool && t != reflect.TypeFor[int](): // the text of the other types shows the type
		s = parens(typeName(t), s)
	}
	if text != "" {
		s += " " + text
	}
	p.write(s)
}

// parens returns name(s), or s if name is empty.
func parens(name, s string) string {
	if name == "" {
		return s
	}
	return name + "(" + s + ")"
}
