package values

import (
	"log/slog"
	"reflect"
)

// object returns v as an interface value on which methods can be called, or nil if
// no method may be called. The result is not a copy of v: for an addressable
// value, Interface would copy it, so object returns its address.
func (p *printer) object(v reflect.Value) any {
	switch {
	case p.silent || !v.CanInterface():
		return nil
	case v.CanAddr():
		return v.Addr().Interface()
	}
	return v.Interface()
}

// methodText returns the text of Error or String, or "" if object has neither.
func methodText(object any) string {
	if name, f := textMethod(object); f != nil {
		return call(name, f)
	}
	return ""
}

func call(method string, f func() string) string {
	text, panicked, ok := protect(f)
	if !ok {
		return "!panic in " + method + ": " + panicText(panicked)
	}
	return plain(text)
}

// panicText returns the text of a recovered value on one line.
func panicText(r any) string { return plain(Failure(r)) }

// logged prints the result of LogValue, if object has this method. The result may
// be a LogValuer too, so each call counts as a level.
func (p *printer) logged(v reflect.Value, object any, at place) bool {
	x, ok := object.(slog.LogValuer)
	if !ok {
		return false
	}
	if !at.bare {
		p.write(typeName(v.Type()) + " ")
	}
	p.write("as logged: ")
	if at.depth >= maxDepth {
		p.write("...")
		return true
	}
	var value slog.Value
	if failed := call("LogValue", func() string { value = x.LogValue(); return "" }); failed != `""` {
		p.write(failed)
		return true
	}
	p.logValue(value, at.deeper())
	return true
}

func (p *printer) logValue(v slog.Value, at place) {
	if v.Kind() != slog.KindGroup {
		at.typed = true
		p.value(reflect.ValueOf(v.Any()), at)
		return
	}
	at.bare = true // its type, []slog.Attr, says nothing
	attrs := v.Group()
	group := reflect.ValueOf(struct{}{})
	p.list(group, "", at, min(len(attrs), maxElements), len(attrs), func(i int, at place) {
		p.write(plain(attrs[i].Key) + ": ")
		p.logValue(attrs[i].Value, at)
	})
}
