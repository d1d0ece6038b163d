package values

import (
	"reflect"
	"sync/atomic"
	"time"
)

// known prints the types of the standard library whose fields are not useful to a
// person. It also prints them in unexported fields, where methods must not be
// called.
func (p *printer) known(v reflect.Value, at place) bool {
	switch v.Type() {
	case reflect.TypeFor[time.Duration]():
		p.named(v, time.Duration(v.Int()).String(), at)
		return true
	case reflect.TypeFor[time.Time]():
		t, ok := p.readTime(v)
		if ok {
			p.named(v, plain(t.String()), at) // the name of a zone can be any text
		}
		return ok
	case reflect.TypeFor[time.Location]():
		name, ok := field(v, "name", reflect.String)
		if ok {
			p.write(parens("time.Location", plain(name.String()))) // its fields are a long table of transitions
		}
		return ok
	case reflect.TypeFor[reflect.Value]():
		if v.CanInterface() {
			p.wrapped(v, v.Interface().(reflect.Value), at)
		}
		return v.CanInterface()
	}
	if v.Kind() == reflect.Struct && v.Type().PkgPath() == "sync/atomic" {
		return p.atomic(v, at)
	}
	return false
}

// named prints s, with the type if the place needs it.
func (p *printer) named(v reflect.Value, s string, at place) {
	if at.typed && !at.bare {
		s = parens(typeName(v.Type()), s)
	}
	p.write(s)
}

// wrapped prints held, the value inside v.
func (p *printer) wrapped(v, held reflect.Value, at place) {
	inner := at.deeper()
	if inner.bare = at.bare; at.bare {
		p.value(held, inner)
		return
	}
	p.write(typeName(v.Type()) + "(")
	inner.typed = v.Type() == reflect.TypeFor[reflect.Value]() || v.Type() == reflect.TypeFor[atomic.Value]()
	p.value(held, inner)
	p.write(")")
}

func field(v reflect.Value, name string, kind reflect.Kind) (reflect.Value, bool) {
	f := fieldNamed(v, name)
	return f, f.Kind() == kind
}

// readTime reads a time.Time. In an unexported field, and if the program may write
// the time, it reads the fields of the time, and the result is in UTC. The
// documentation of Time in time/time.go describes these fields.
func (p *printer) readTime(v reflect.Value) (time.Time, bool) {
	if v.CanInterface() && !(p.live && v.CanAddr()) {
		return v.Interface().(time.Time).Round(0), true // the monotonic reading is noise
	}
	wall, ok := field(v, "wall", reflect.Uint64)
	ext, ok2 := field(v, "ext", reflect.Int64)
	if !ok || !ok2 {
		return time.Time{}, false
	}
	if p.live && v.CanAddr() {
		// Both fields should be of the same time. Without a lock, that cannot be certain.
		seconds, rest := ext, wall
		for range 10 {
			wall, ext = load(rest), load(seconds)
			if load(rest).Uint() == wall.Uint() {
				break
			}
		}
	}
	const (
		hasMonotonic = 1 << 63
		nanoseconds  = 1<<30 - 1
		day          = 24 * 60 * 60
		until1885    = (1884*365 + 1884/4 - 1884/100 + 1884/400) * day // from the year 1 on
		until1970    = (1969*365 + 1969/4 - 1969/100 + 1969/400) * day
	)
	seconds := ext.Int() - until1970
	if w := wall.Uint(); w&hasMonotonic != 0 {
		seconds = int64(w<<1>>31) + until1885 - until1970
	}
	return time.Unix(seconds, int64(wall.Uint()&nanoseconds)).UTC(), true
}

// atomic prints the value inside a type of sync/atomic. It calls Load, also in an
// unexported field, or reads the field of a value that has no address.
func (p *printer) atomic(v reflect.Value, at place) bool {
	// reflect would allow methods of what Load returns, even if it comes from an
	// unexported field.
	defer func(silent bool) { p.silent = silent }(p.silent)
	p.silent = p.silent || !v.CanInterface()
	held, ok := loaded(v)
	if ok {
		p.wrapped(v, held, at)
	}
	return ok
}

func loaded(v reflect.Value) (held reflect.Value, ok bool) {
	var object any
	if v.CanAddr() {
		object = reflect.NewAt(v.Type(), address(v)).Interface()
	}
	switch x := object.(type) {
	case *atomic.Bool:
		return reflect.ValueOf(x.Load()), true
	case *atomic.Int32:
		return reflect.ValueOf(x.Load()), true
	case *atomic.Int64:
		return reflect.ValueOf(x.Load()), true
	case *atomic.Uint32:
		return reflect.ValueOf(x.Load()), true
	case *atomic.Uint64:
		return reflect.ValueOf(x.Load()), true
	case *atomic.Uintptr:
		return reflect.ValueOf(x.Load()), true
	case *atomic.Value:
		return reflect.ValueOf(x.Load()), true
	}
	raw := fieldNamed(v, "v")
	if !raw.IsValid() {
		return raw, false
	}
	if raw.Kind() == reflect.UnsafePointer { // an atomic.Pointer
		t, ok := pointedType(v.Type())
		if !ok {
			return raw, false
		}
		if raw.CanAddr() {
			raw = load(raw)
		}
		if isBad(raw.Pointer()) {
			return raw, true
		}
		return reflect.NewAt(t, raw.UnsafePointer()), true
	}
	if v.Type() == reflect.TypeFor[atomic.Bool]() {
		return reflect.ValueOf(raw.Uint() != 0), true
	}
	return raw, true
}

// pointedType returns the T of an atomic.Pointer[T], which has a field _ [0]*T.
func pointedType(t reflect.Type) (reflect.Type, bool) {
	f := t.Field(0).Type
	if f.Kind() != reflect.Array || f.Elem().Kind() != reflect.Pointer {
		return nil, false
	}
	return f.Elem().Elem(), true
}

// fieldNamed returns the field of that name, or the zero Value. The types that it
// is for embed nothing. reflect's FieldByName also searches embedded fields, which
// links much code.
func fieldNamed(v reflect.Value, name string) reflect.Value {
	for i := range v.NumField() {
		if v.Type().Field(i).Name == name {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}
