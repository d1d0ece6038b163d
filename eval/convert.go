package eval

import (
	"math"
	"reflect"
)

// mayFit reports whether a value of type from may be passed as to. from is nil for
// the value nil, and an interface if the type is not known before the call.
func mayFit(from, to reflect.Type) bool { return fits(from, to, 0) }

// fits does the work of mayFit. depth counts the steps into both types, because a type
// may contain itself.
func fits(from, to reflect.Type, depth int) bool {
	switch {
	case depth > maxPointers:
		return false
	case from == nil:
		return hasNil(to)
	case from.AssignableTo(to), from.Kind() == reflect.Interface:
		return true
	case isNumber(from) && isNumber(to):
		return true
	case from.Kind() == reflect.Pointer && fits(from.Elem(), to, depth+1):
		return true
	case isList(from) && to.Kind() == reflect.Slice:
		return fits(from.Elem(), to.Elem(), depth+1)
	}
	return from.Kind() == to.Kind() && from.ConvertibleTo(to)
}

func hasNil(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice, reflect.Func, reflect.Chan:
		return true
	}
	return false
}

func isNumber(t reflect.Type) bool { return t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64 }
func isList(t reflect.Type) bool   { return t.Kind() == reflect.Slice || t.Kind() == reflect.Array }

// convert converts arg to the type of a parameter. It returns false if a number
// would lose information: 300 is not a uint8, and 2.5 is not an int.
func convert(arg any, to reflect.Type) (reflect.Value, bool) {
	if arg == nil {
		return reflect.Zero(to), hasNil(to)
	}
	v := reflect.ValueOf(arg)
	switch from := v.Type(); {
	case from.AssignableTo(to):
		return v, true
	case isNumber(from) && isNumber(to):
		return number(v, to)
	case from.Kind() == reflect.Pointer:
		if v.IsNil() {
			return v, false
		}
		return convert(v.Elem().Interface(), to)
	case isList(from) && to.Kind() == reflect.Slice:
		list := reflect.MakeSlice(to, v.Len(), v.Len())
		for i := range v.Len() {
			elem, ok := convert(v.Index(i).Interface(), to.Elem())
			if !ok {
				return v, false
			}
			list.Index(i).Set(elem)
		}
		return list, true
	case from.Kind() == to.Kind() && from.ConvertibleTo(to):
		return v.Convert(to), true
	}
	return v, false
}

func number(v reflect.Value, to reflect.Type) (reflect.Value, bool) {
	zero := reflect.Zero(to)
	if v.CanFloat() {
		f := v.Float()
		if zero.CanFloat() {
			return v.Convert(to), !zero.OverflowFloat(f)
		}
		// In expr, 10/2 is a float64.
		if f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
			return v, false
		}
		return number(reflect.ValueOf(int64(f)), to)
	}
	switch {
	case zero.CanFloat():
		return v.Convert(to), true
	case v.CanInt() && zero.CanInt():
		return v.Convert(to), !zero.OverflowInt(v.Int())
	case v.CanInt():
		return v.Convert(to), v.Int() >= 0 && !zero.OverflowUint(uint64(v.Int()))
	case zero.CanInt():
		return v.Convert(to), v.Uint() <= math.MaxInt64 && !zero.OverflowInt(int64(v.Uint()))
	}
	return v.Convert(to), !zero.OverflowUint(v.Uint())
}
