package eval

import (
	"errors"
	"reflect"

	"github.com/expr-lang/expr/ast"
)

// This file charges for copies of structs and arrays. expr makes one whenever it
// fetches a field or an element, or follows a pointer, because an any cannot hold
// the variable itself.

// maxPointers is how many pointers and interfaces may follow each other. expr
// follows them without counting, and a pointer may lead to itself.
const maxPointers = 100

var errPointers = errors.New("a pointer leads to itself, or there are too many one after another")

// checkPointers returns an error for a value, or a type, whose pointers do not end.
func checkPointers(v any) error {
	if err := checkPointerType(reflect.TypeOf(v)); err != nil {
		return err
	}
	r := reflect.ValueOf(v)
	for range maxPointers {
		if k := r.Kind(); k != reflect.Pointer && k != reflect.Interface {
			return nil
		}
		r = r.Elem()
	}
	return errPointers
}

func checkPointerType(t reflect.Type) error {
	for range maxPointers {
		if t == nil || t.Kind() != reflect.Pointer {
			return nil
		}
		t = t.Elem()
	}
	return errPointers
}

// target follows pointers and interfaces.
func target(v any) reflect.Value {
	r := reflect.ValueOf(v)
	for range maxPointers {
		if k := r.Kind(); k != reflect.Pointer && k != reflect.Interface {
			break
		}
		r = r.Elem()
	}
	return r
}

// copySize returns what the copy of a value of type t costs.
func copySize(t reflect.Type) uint64 {
	if t == nil || t.Kind() != reflect.Struct && t.Kind() != reflect.Array {
		return 0 // the others have a word or a few
	}
	return uint64(t.Size())
}

// glance returns the cost of a temporary copy.
func glance(size uint64) uint64 {
	if size <= smallCopy {
		return 0
	}
	return size
}

// elementCopy returns the size of the copy of an element of a list or map.
func elementCopy(list any) uint64 {
	r := target(list)
	switch r.Kind() {
	case reflect.Slice, reflect.Array:
		return copySize(r.Type().Elem())
	case reflect.Map:
		return copySize(r.Type().Elem()) + copySize(r.Type().Key())
	}
	return 0
}

// derefCopy returns the size of the copy that is made when a pointer is followed.
func derefCopy(v any) uint64 {
	r := target(v)
	if t := reflect.TypeOf(v); t == nil || t.Kind() != reflect.Pointer || !r.IsValid() {
		return 0
	}
	return copySize(r.Type())
}

// memberCopy returns the size of the copy of a field, an element, or the receiver
// of a method. name is empty if it is not known; then it may be any of them.
func memberCopy(v any, name string) uint64 {
	r := target(v)
	if !r.IsValid() {
		return 0
	}
	if name == "" || r.Kind() != reflect.Struct {
		return max(elementCopy(v), copySize(r.Type()))
	}
	if f, ok := r.Type().FieldByName(name); ok {
		return copySize(f.Type)
	}
	if t := reflect.TypeOf(v); t.Kind() == reflect.Pointer {
		if _, of := r.Type().MethodByName(name); !of { // the receiver is the pointer
			return 0
		}
	}
	return onStack(copySize(r.Type()))
}

// maxOnStack is how many bytes the receiver, or the arguments and results of a call
// may have. They are copied to the stack, perhaps twice. If the stack gets larger
// than the runtime allows (250 MB where a pointer has 32 bits), the process ends.
const maxOnStack = 8 << 20

// onStack returns the cost of size bytes on the stack. If they are too many, the cost
// is above every limit.
func onStack(size uint64) uint64 {
	if size > maxOnStack {
		return 1 << 63
	}
	return size
}

// callCost returns the cost of the arguments and results of a call.
func callCost(fn reflect.Type) uint64 {
	size := uint64(0)
	for i := range fn.NumIn() {
		size += copySize(fn.In(i))
	}
	for i := range fn.NumOut() {
		size += copySize(fn.Out(i))
	}
	return glance(onStack(size))
}

// same is the check of a function that returns its argument.
func same(args []reflect.Type) (reflect.Type, error) { return args[0], checkPointerType(args[0]) }

// charges marks a node that charging has put in place of inner.
type charges struct{ inner ast.Node }

// charging makes a node that charges what cost returns for the value of node. The
// value stays the same. Pointers that do not end are refused.
func (p *patcher) charging(node ast.Node, cost func(v any) uint64) ast.Node {
	if isLiteral(node) {
		return node
	}
	return p.site(node, charges{node}, same, func(args ...any) (any, error) {
		if err := checkPointers(args[0]); err != nil {
			return nil, err
		}
		return args[0], p.m.charge(cost(args[0]))
	}, node)
}

// uncharged returns the node inside if charging has made this node. Otherwise it returns
// the node itself.
func (p *patcher) uncharged(node ast.Node) ast.Node {
	if c, ok := p.sites[node].(charges); ok {
		return c.inner
	}
	return node
}

func isLiteral(node ast.Node) bool {
	switch node.(type) {
	case *ast.IntegerNode, *ast.FloatNode, *ast.StringNode, *ast.BoolNode, *ast.NilNode, *ast.BytesNode:
		return true
	}
	return false
}

// kept charges for a value that becomes an element of a list or map.
func (p *patcher) kept(node ast.Node) ast.Node {
	return p.charging(node, func(v any) uint64 { return copySize(reflect.TypeOf(v)) })
}

// element charges for the copy of the current element of a loop.
func (p *patcher) element(node ast.Node) ast.Node {
	return p.charging(node, func(v any) uint64 { return glance(copySize(reflect.TypeOf(v))) })
}

// followed charges for the copy that is made when expr follows a pointer, and for
// the copy of one element.
func (p *patcher) followed(node ast.Node) ast.Node {
	return p.charging(node, func(v any) uint64 { return glance(derefCopy(v)) + glance(elementCopy(v)) })
}

// sliced charges for the copy of an array, of which expr takes a slice.
func (p *patcher) sliced(node ast.Node) ast.Node {
	return p.charging(node, func(v any) uint64 {
		if target(v).Kind() != reflect.Array {
			return 0
		}
		return derefCopy(v) + copySize(target(v).Type())
	})
}

// searched charges for the copies of all elements. The operator in copies each to
// compare it.
func (p *patcher) searched(node ast.Node) ast.Node {
	return p.charging(node, func(v any) uint64 {
		n := 0
		if r := target(v); r.IsValid() && isList(r.Type()) {
			n = r.Len()
		}
		return derefCopy(v) + times(n, int(glance(elementCopy(v))))
	})
}

// finite charges for all that is inside a list, map or struct. It fails if a value
// contains itself: expr compares lists, and writes values into errors, without a limit.
func (p *patcher) finite(node ast.Node) ast.Node {
	return p.charging(node, func(v any) uint64 { return finiteCost(p.m, v) })
}

func finiteCost(m *meter, v any) uint64 { return compositeCost(v, &walk{m: m, left: m.left}) }

// equalCost is like finiteCost, for a comparison: expr follows pointers then.
func equalCost(m *meter, v any) uint64 {
	return compositeCost(v, &walk{m: m, left: m.left, seen: make(map[object]bool)})
}

func compositeCost(v any, w *walk) uint64 {
	if !isComposite(v) {
		return 0
	}
	if !w.value(target(v), 0) {
		return w.m.left + 1
	}
	return w.m.left - w.left
}

func isComposite(v any) bool {
	switch target(v).Kind() {
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		return true
	}
	return false
}

// pass charges for an argument of a call, and for its conversion if it needs one.
func (m *meter) pass(arg any, to reflect.Type) error {
	if err := checkPointers(arg); err != nil {
		return err
	}
	from := reflect.TypeOf(arg)
	switch {
	case from == nil:
		return nil
	case from.AssignableTo(to): // callCost charges for it
		return nil
	case to.Kind() == reflect.Slice:
		n := 0
		if r := target(arg); r.IsValid() && isList(r.Type()) {
			n = r.Len()
		}
		return m.charge(finiteCost(m, arg) + times(n, int(to.Elem().Size())))
	}
	return m.charge(glance(derefCopy(arg)))
}
