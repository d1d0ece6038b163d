// Package fromdwarf makes a table of the runtime's structs from the DWARF of a
// binary. The generator of package layout uses it, and the reader for a binary whose
// release has no table.
package fromdwarf

import (
	"debug/dwarf"
	"fmt"
	"math"
	"reflect"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// ReadMemory fills b from an address of the binary, as linked.
type ReadMemory func(addr uint64, b []byte) error

// Read returns the table for a binary. read may be of the file or of a process that
// runs it; it is used for the texts of wait reasons and statuses only.
//
// debug/dwarf is not made for hostile binaries: where it panics, Read returns an
// error. The caller bounds the size of the sections.
func Read(data *dwarf.Data, release string, read ReadMemory) (l *layout.Layout, err error) {
	defer func() {
		if v := recover(); v != nil {
			l, err = nil, fmt.Errorf("DWARF: %v", v)
		}
	}()
	found, err := scan(data)
	if err != nil {
		return nil, err
	}
	l = &layout.Layout{Release: release}
	if err := found.fill(reflect.ValueOf(l).Elem()); err != nil {
		return nil, err
	}
	if err := found.require(l); err != nil {
		return nil, err
	}
	found.traits(l)
	if err := found.texts(l, read); err != nil {
		return nil, err
	}
	return l, nil
}

// fill sets the offsets of a Layout, as their tags say.
func (f *found) fill(v reflect.Value) error {
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		if field.Kind() != reflect.Struct {
			continue
		}
		if name, ok := tag.Lookup("type"); ok {
			if err := f.fillStruct(field, name); err != nil {
				return err
			}
			continue
		}
		for k := range field.NumField() {
			names, ok := field.Type().Field(k).Tag.Lookup("const")
			if !ok {
				continue
			}
			if err := set(field.Field(k), names, f.constant(names)); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillStruct sets the offsets of one struct of the runtime.
func (f *found) fillStruct(v reflect.Value, name string) error {
	st := f.structs[name]
	for i := range v.NumField() {
		offset := int64(layout.Absent)
		names, ok := v.Type().Field(i).Tag.Lookup("field")
		switch {
		case st == nil:
		case !ok:
			offset = st.ByteSize
		default:
			offset = fieldOffset(st, names)
		}
		if err := set(v.Field(i), name+"."+names, offset); err != nil {
			return err
		}
	}
	return nil
}

func set(v reflect.Value, name string, n int64) error {
	if n < -1 || n > math.MaxInt16 {
		return fmt.Errorf("the offset of %s is %d", name, n)
	}
	v.SetInt(n)
	return nil
}

// constant returns the first of several constants that the binary has.
func (f *found) constant(names string) int64 {
	for name := range strings.SplitSeq(names, "|") {
		if n, ok := f.constants[name]; ok {
			return n
		}
	}
	return int64(layout.Absent)
}

// fieldOffset returns the offset of a field, by the first of several paths that the
// struct has. The elements of a path are separated by dots. If the last one is a
// struct with one field, the offset of that is the same.
func fieldOffset(st *dwarf.StructType, paths string) int64 {
	for path := range strings.SplitSeq(paths, "|") {
		if n, ok := offsetOf(st, path); ok {
			return n
		}
	}
	return int64(layout.Absent)
}

func offsetOf(st *dwarf.StructType, path string) (int64, bool) {
	head, rest, more := strings.Cut(path, ".")
	for _, f := range st.Field {
		if f.Name != head {
			continue
		}
		if !more {
			return f.ByteOffset, true
		}
		inner, ok := underlying(f.Type).(*dwarf.StructType)
		if !ok {
			return 0, false
		}
		n, ok := offsetOf(inner, rest)
		return f.ByteOffset + n, ok
	}
	return 0, false
}

// underlying returns a type without its names. A hostile binary may have a cycle of
// names.
func underlying(t dwarf.Type) dwarf.Type {
	for range 100 {
		named, ok := t.(*dwarf.TypedefType)
		if !ok {
			return t
		}
		t = named.Type
	}
	return nil
}
