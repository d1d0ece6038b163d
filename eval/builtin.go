package eval

import (
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/vm/runtime"
)

// builtinSite calls one of expr's own functions, after it has charged the cost to
// the meter.
type builtinSite struct {
	m    *meter
	f    *builtin.Function
	cost func(m *meter, args []any) uint64
}

// newBuiltinSite returns nil for a function that costs nothing.
func newBuiltinSite(m *meter, f *builtin.Function) *builtinSite {
	cost, ok := costs[f.Name]
	if !ok {
		return nil
	}
	return &builtinSite{m, f, cost}
}

// check does the same check as expr, but visits the arguments only once. expr visits
// them once for each type of the function, so n nested calls of sort take 5^n visits.
func (s *builtinSite) check(args []reflect.Type) (reflect.Type, error) {
	if s.f.Validate != nil {
		return s.f.Validate(args)
	}
	if len(s.f.Types) == 0 { // get
		return anyType, nil
	}
	err := fmt.Errorf("not enough arguments to call %s", s.f.Name)
	for _, t := range s.f.Types {
		site := callSite{name: s.f.Name}
		if n := site.count(t, 0, len(args)); n != nil {
			err = n
			continue
		}
		wrong := -1
		for i, arg := range args {
			if !mayFit(arg, t.In(i)) {
				wrong = i
				break
			}
		}
		if wrong < 0 {
			return t.Out(0), nil
		}
		err = site.wrong(args[wrong], t.In(wrong))
	}
	return nil, err
}

func (s *builtinSite) do(args ...any) (any, error) {
	for i, arg := range args {
		if err := checkPointers(arg); err != nil {
			return nil, err
		}
		if v := reflect.ValueOf(arg); v.Kind() == reflect.Pointer && target(arg).IsValid() {
			if err := s.m.charge(glance(derefCopy(arg))); err != nil {
				return nil, err
			}
			args[i] = target(arg).Interface()
		}
		if s.f.Name != "string" && s.f.Name != "toJSON" { // these two use the methods of a named type
			args[i] = plain(args[i])
		}
	}
	if err := s.m.charge(s.cost(s.m, args)); err != nil {
		return nil, err
	}
	switch {
	case s.f.Name == "uniq":
		return s.uniq(args[0])
	case s.f.Fast != nil:
		return s.f.Fast(args[0]), nil
	case s.f.Safe != nil:
		v, _, err := s.f.Safe(args...)
		return v, err
	}
	return s.f.Func(args...)
}

// uniq replaces the function of expr. The time of both grows with the square of
// the length, but this one ends with the context.
func (s *builtinSite) uniq(list any) (any, error) {
	v := reflect.ValueOf(list)
	if !v.IsValid() || !isList(v.Type()) {
		return nil, fmt.Errorf("cannot uniq %s", v.Kind())
	}
	unique := []any{}
next:
	for i := range v.Len() {
		if err := s.m.ended(); err != nil {
			return nil, err
		}
		elem := v.Index(i).Interface()
		for _, other := range unique {
			if runtime.Equal(elem, other) {
				continue next
			}
		}
		unique = append(unique, elem)
	}
	return unique, nil
}

// costs has the functions of expr that allocate, or whose time grows faster than the
// size of their arguments. The cost is charged before the call. The other functions
// allocate almost nothing.
var costs = map[string]func(m *meter, args []any) uint64{
	"repeat":     func(_ *meter, args []any) uint64 { return times(length(args[0]), integer(args[1])) },
	"replace":    replaceCost,
	"join":       joinCost,
	"split":      splitCost,
	"splitAfter": splitCost,
	"upper":      linear(2),
	"lower":      linear(2),
	"toBase64":   linear(2),
	"fromBase64": linear(2),
	"fromJSON":   linear(elementSize),
	"keys":       linear(2 * elementSize),
	"values":     linear(2 * elementSize),
	"toPairs":    linear(4 * elementSize),
	"fromPairs":  linear(4 * elementSize),
	"reverse":    linear(elementSize),
	"sort":       linear(2 * elementSize),
	"uniq":       uniqCost,
	"get":        getCost,
	"concat":     concatCost,
	"flatten":    deepCost,
	"min":        deepCost,
	"max":        deepCost,
	"mean":       deepCost,
	"median":     deepCost,
	"string":     deepCost,
	"toJSON":     jsonCost,
	"trim":       linear(0), // these cost nothing, but have several types: see check
	"trimPrefix": linear(0),
	"trimSuffix": linear(0),
}

func linear(factor int) func(*meter, []any) uint64 {
	return func(_ *meter, args []any) uint64 {
		if factor == 0 {
			return 0
		}
		return times(length(args[0]), factor+int(elementCopy(args[0])))
	}
}

// uniqCost fails for a list that contains itself, since all elements are compared.
func uniqCost(m *meter, args []any) uint64 {
	return times(length(args[0]), elementSize+int(elementCopy(args[0]))) + equalCost(m, args[0])
}

// getCost fails for a key that contains itself, since expr writes it into an error.
func getCost(m *meter, args []any) uint64 {
	if len(args) == 0 { // an error of get
		return 0
	}
	cost := glance(elementCopy(args[0]))
	for _, key := range args[1:] {
		cost += finiteCost(m, key)
	}
	return cost
}

// length returns the length of v, or 0 if v has none.
func length(v any) int {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.String, reflect.Slice, reflect.Array, reflect.Map:
		return r.Len()
	}
	return 0
}

func integer(v any) int {
	if r := reflect.ValueOf(v); r.IsValid() && isNumber(r.Type()) {
		return runtime.ToInt(plain(v))
	}
	return 0
}

func replaceCost(_ *meter, args []any) uint64 {
	if len(args) < 3 {
		return 0
	}
	s, _ := args[0].(string)
	old, _ := args[1].(string)
	return uint64(len(s)) + times(strings.Count(s, old), length(args[2]))
}

func splitCost(_ *meter, args []any) uint64 {
	s, _ := args[0].(string)
	separator, _ := args[1].(string)
	n := utf8.RuneCountInString(s)
	if separator != "" {
		n = strings.Count(s, separator)
	}
	return times(n+1, elementSize)
}

func joinCost(m *meter, args []any) uint64 {
	glue := 0
	if len(args) > 1 {
		glue = length(args[1])
	}
	return times(length(args[0]), glue+elementSize) + deepCost(m, args[:1])
}

func concatCost(_ *meter, args []any) uint64 {
	n := uint64(0)
	for _, arg := range args {
		n += times(length(arg), 2*elementSize+int(elementCopy(arg)))
	}
	return n
}
