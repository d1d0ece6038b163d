package eval

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/vm/runtime"
	"github.com/gomanhole/oneshot/internal/values"
)

// callSite calls a Go function or method. expr itself does not call functions
// without results or with more than two, and does not accept an int for a type such
// as slog.Level.
type callSite struct {
	m      *meter
	name   string
	callee ast.Node
}

// check is the static check. args[0] is the type of the function.
func (s *callSite) check(args []reflect.Type) (reflect.Type, error) {
	fn := args[0]
	switch {
	case fn == nil:
		return nil, fmt.Errorf("%s is nil; cannot call nil as function", s.name)
	case fn.Kind() == reflect.Interface:
		return anyType, nil
	case fn.Kind() != reflect.Func:
		return nil, fmt.Errorf("%s is not callable", fn)
	}
	receiver := 0 // the type of a method that was found by its type begins with the receiver
	if s.callee.Nature().Method {
		receiver = 1
	}
	if err := s.count(fn, receiver, len(args)-1); err != nil {
		return nil, err
	}
	for i, arg := range args[1:] {
		if to := parameter(fn, receiver+i); !mayFit(arg, to) {
			return nil, s.wrong(arg, to)
		}
	}
	switch n := fn.NumOut(); {
	case n == 0:
		return anyType, nil
	case n > 2:
		return anysType, nil
	}
	return fn.Out(0), nil
}

func (s *callSite) count(fn reflect.Type, receiver, n int) error {
	in := fn.NumIn() - receiver
	switch {
	case fn.IsVariadic() && n < in-1 || n < in && !fn.IsVariadic():
		return fmt.Errorf("not enough arguments to call %s", s.name)
	case !fn.IsVariadic() && n > in:
		return fmt.Errorf("too many arguments to call %s", s.name)
	}
	return nil
}

func (s *callSite) wrong(arg, to reflect.Type) error {
	text := "nil"
	if arg != nil {
		text = arg.String()
	}
	return fmt.Errorf("cannot use %s as argument (type %s) to call %s", text, to, s.name)
}

func parameter(fn reflect.Type, i int) reflect.Type {
	if last := fn.NumIn() - 1; fn.IsVariadic() && i >= last {
		return fn.In(last).Elem()
	}
	return fn.In(i)
}

// do calls the function. If the last of several results is an error that is not
// nil, do returns this error. Of two results, do returns only the first, as expr
// does. Of more, it returns all except a last nil error.
func (s *callSite) do(args ...any) (result any, err error) {
	if err := s.m.ended(); err != nil {
		return nil, err
	}
	fn := reflect.ValueOf(args[0])
	if err := s.callable(fn); err != nil {
		return nil, err
	}
	if err := s.count(fn.Type(), 0, len(args)-1); err != nil {
		return nil, err
	}
	if err := s.m.charge(callCost(fn.Type())); err != nil {
		return nil, err
	}
	in := make([]reflect.Value, len(args)-1)
	for i, arg := range args[1:] {
		to := parameter(fn.Type(), i)
		if err := s.m.pass(arg, to); err != nil {
			return nil, err
		}
		v, ok := convert(arg, to)
		if !ok {
			if from := reflect.TypeOf(arg); mayFit(from, to) && from != nil {
				return nil, fmt.Errorf("cannot use %s (type %s) as argument (type %s) to call %s", values.Short(arg, 100), from, to, s.name)
			}
			return nil, s.wrong(reflect.TypeOf(arg), to)
		}
		in[i] = v
	}
	out, err := s.protected(fn, in)
	if err != nil {
		return nil, err
	}
	last := len(out) - 1
	s.m.noResult = last < 0
	if last < 0 {
		return nil, nil
	}
	if last > 0 && out[last].Type() == errorType {
		if err, ok := out[last].Interface().(error); ok {
			return nil, errors.New(values.Failure(err)) // expr would call its methods without protection
		}
		if last > 1 {
			out = out[:last]
		}
	}
	if last <= 1 {
		return out[0].Interface(), nil
	}
	all := make([]any, len(out))
	for i, v := range out {
		all[i] = v.Interface()
	}
	return all, nil
}

// callable checks the value, where the static type was not enough.
func (s *callSite) callable(fn reflect.Value) error {
	switch {
	case !fn.IsValid() || fn.Kind() == reflect.Func && fn.IsNil():
		return fmt.Errorf("%s is nil; cannot call nil as function", s.name)
	case fn.Kind() != reflect.Func:
		return fmt.Errorf("%s is not callable", fn.Type())
	}
	return nil
}

// protected calls fn and returns its panic as an error.
func (s *callSite) protected(fn reflect.Value, in []reflect.Value) (out []reflect.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s panicked: %s", s.name, values.Failure(r))
		}
	}()
	return fn.Call(in), nil
}

// memberSite fetches a field by its name. expr itself does not look behind an
// interface, and copies a struct whose methods need its address.
type memberSite struct {
	m       *meter
	name    string
	address bool
}

func (s *memberSite) check(args []reflect.Type) (reflect.Type, error) {
	t := args[0]
	if t == nil {
		return nil, fmt.Errorf("type nil has no field %s", s.name)
	}
	if _, method := t.MethodByName(s.name); method || t.Kind() == reflect.Interface {
		return anyType, nil
	}
	pointer := t.Kind() == reflect.Pointer
	if err := checkPointerType(t); err != nil {
		return nil, err
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Interface:
		return anyType, nil
	case reflect.Map:
		if reflect.TypeFor[string]().AssignableTo(t.Key()) {
			return t.Elem(), nil
		}
		return nil, fmt.Errorf("cannot use string to get an element from %s", t)
	case reflect.Struct:
		if f, ok := t.FieldByName(s.name); ok && f.IsExported() {
			if pointer && s.takesAddress(f.Type) {
				return reflect.PointerTo(f.Type), nil
			}
			return f.Type, nil
		}
	}
	return nil, fmt.Errorf("type %s has no field %s", t, s.name)
}

// takesAddress reports whether to return the address of a field of type t.
func (s *memberSite) takesAddress(t reflect.Type) bool {
	return s.address && t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && t.Kind() != reflect.Map
}

func (s *memberSite) do(args ...any) (any, error) {
	if err := checkPointers(args[0]); err != nil {
		return nil, err
	}
	v := reflect.ValueOf(args[0])
	if v.IsValid() && !v.MethodByName(s.name).IsValid() {
		if v = target(args[0]); v.Kind() == reflect.Struct {
			if sf, ok := v.Type().FieldByName(s.name); ok && sf.IsExported() {
				f, err := v.FieldByIndexErr(sf.Index)
				if err != nil {
					return nil, err
				}
				if f.CanAddr() && s.takesAddress(f.Type()) {
					return f.Addr().Interface(), nil
				}
				if err := s.m.charge(glance(copySize(f.Type()))); err != nil {
					return nil, err
				}
				return f.Interface(), nil
			}
		}
	}
	if err := s.m.charge(glance(memberCopy(args[0], s.name))); err != nil {
		return nil, err
	}
	return runtime.Fetch(args[0], s.name), nil
}

// plainTypes maps the kind of a named type to the predeclared type.
var plainTypes = map[reflect.Kind]reflect.Type{}

func init() {
	for _, v := range []any{
		false, "", 0, int8(0), int16(0), int32(0), int64(0), uint(0), uint8(0), uint16(0), uint32(0), uint64(0),
		uintptr(0), float32(0), float64(0),
	} {
		plainTypes[reflect.TypeOf(v).Kind()] = reflect.TypeOf(v)
	}
}

// plainType returns the type of the result of plain. A time.Duration stays what it
// is, since expr has operators for it.
func plainType(args []reflect.Type) (reflect.Type, error) {
	t := args[0]
	if t == nil || t == reflect.TypeFor[time.Duration]() {
		return t, nil
	}
	if basic, ok := plainTypes[t.Kind()]; ok {
		return basic, nil
	}
	return t, nil
}

// plain converts a value of a named type to the predeclared type.
func plain(v any) any {
	t, _ := plainType([]reflect.Type{reflect.TypeOf(v)})
	if t == reflect.TypeOf(v) {
		return v
	}
	return reflect.ValueOf(v).Convert(t).Interface()
}
