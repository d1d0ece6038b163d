package fromdwarf

import (
	"debug/dwarf"
	"encoding/binary"
	"fmt"
	"reflect"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// found is what the DWARF of a binary says about the runtime.
type found struct {
	structs   map[string]*dwarf.StructType
	constants map[string]int64
	variables map[string]variable
}

// variable is a package-level variable that is an array.
type variable struct {
	addr  uint64
	array *dwarf.ArrayType
}

// scan collects the structs, constants and variables that a Layout needs.
func scan(data *dwarf.Data) (*found, error) {
	f := &found{structs: map[string]*dwarf.StructType{}, constants: map[string]int64{}, variables: map[string]variable{}}
	structs := map[string]bool{}
	for i := range reflect.TypeFor[layout.Layout]().NumField() {
		if name, ok := reflect.TypeFor[layout.Layout]().Field(i).Tag.Lookup("type"); ok {
			structs[name] = true
		}
	}
	r := data.Reader()
	for {
		e, err := r.Next()
		if err != nil {
			return nil, fmt.Errorf("DWARF: %w", err)
		}
		if e == nil {
			return f, nil
		}
		if err := f.entry(data, e, structs); err != nil {
			return nil, err
		}
		if e.Tag != dwarf.TagCompileUnit && e.Children {
			r.SkipChildren()
		}
	}
}

// entry keeps an entry if a Layout needs it.
func (f *found) entry(data *dwarf.Data, e *dwarf.Entry, structs map[string]bool) error {
	name, _ := e.Val(dwarf.AttrName).(string)
	switch e.Tag {
	case dwarf.TagConstant:
		if n, ok := e.Val(dwarf.AttrConstValue).(int64); ok && wantedConstant(name) {
			f.constants[name] = n
		}
	case dwarf.TagStructType:
		if !structs[name] {
			return nil
		}
		t, err := data.Type(e.Offset)
		if err != nil {
			return fmt.Errorf("DWARF of %s: %w", name, err)
		}
		if st, ok := t.(*dwarf.StructType); ok {
			f.structs[name] = st
		}
	case dwarf.TagVariable:
		if name != waitReasonStrings && name != statusStrings && name != idleInSynctest {
			return nil
		}
		return f.variable(data, e, name)
	}
	return nil
}

func wantedConstant(name string) bool {
	return strings.HasPrefix(name, "runtime._G") || strings.HasPrefix(name, "internal/abi.")
}

// variable keeps the address and type of a variable. Its location is the operation
// DW_OP_addr and an address, or in DWARF 5 DW_OP_addrx and an index, which
// debug/dwarf does not resolve; the Go linker writes DW_OP_addr for variables.
func (f *found) variable(data *dwarf.Data, e *dwarf.Entry, name string) error {
	const opAddr = 0x03
	location, _ := e.Val(dwarf.AttrLocation).([]byte)
	ref, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
	if !ok || len(location) != 9 || location[0] != opAddr {
		return nil
	}
	t, err := data.Type(ref)
	if err != nil {
		return fmt.Errorf("DWARF of %s: %w", name, err)
	}
	if array, ok := underlying(t).(*dwarf.ArrayType); ok {
		f.variables[name] = variable{binary.LittleEndian.Uint64(location[1:]), array}
	}
	return nil
}
