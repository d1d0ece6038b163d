package eval

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/gomanhole/oneshot/internal/values"
)

// live is a value that lookup returns if the program may write it while the
// expression reads it. Of such a value, an expression can only use what
// values.Load can read, by the names of fields: name.Field.Field. So it cannot end
// the program.
type live struct{ value any }

// advise says what to do about a use of a live value that is refused.
func advise(name string) string {
	return fmt.Sprintf("the program may be writing %s; use a number or boolean in it (%[1]s.FIELD), or -racy EXPRESSION, which can end the program", name)
}

// usable returns a live value that an expression can use as a whole, because
// nothing in it can change: a number, boolean, string or time. The result has no
// methods of the program.
func usable(v any) (any, bool) {
	switch t := reflect.TypeOf(v); {
	case t == nil, t == reflect.TypeFor[time.Time]():
		return v, true
	case values.Hides(t):
		return nil, false
	case isScalar(t.Kind()):
		return plain(v), true
	}
	return nil, false
}

// isPlain reports whether a usable value can be treated like a copy. The methods of
// a time belong to the standard library, and nil has none.
func isPlain(v any) bool {
	_, ok := v.(time.Time)
	return ok || v == nil
}

func isScalar(k reflect.Kind) bool {
	return k >= reflect.Bool && k <= reflect.Complex128 || k == reflect.String
}

// livePath is a field of a live value.
type livePath struct {
	root any
	name string   // of the local
	path []string // names of fields
	load bool     // the method Load of a type of sync/atomic is called
}

func (l *livePath) String() string { return strings.Join(append([]string{l.name}, l.path...), ".") }

// read returns the value of the field now.
func (l *livePath) read() (any, error) {
	v, err := l.target(reflect.ValueOf(l.root))
	for _, name := range l.path {
		if err != nil {
			return nil, err
		}
		if v.Kind() != reflect.Struct {
			return nil, l.refuse(v)
		}
		field, ok := v.Type().FieldByName(name)
		if !ok || !field.IsExported() {
			return nil, fmt.Errorf("%s: %s has no field %s, and methods are not called: %s", l, v.Type(), name, advise(l.name))
		}
		for _, n := range field.Index { // several for an embedded struct, or for a pointer to one
			if v, err = l.target(v.Field(n)); err != nil {
				return nil, err
			}
		}
	}
	if err != nil {
		return nil, err
	}
	if l.load && v.Type().PkgPath() != "sync/atomic" {
		return nil, l.refuse(v)
	}
	if v, ok := values.Load(v); ok {
		return plain(v.Interface()), nil
	}
	return nil, l.refuse(v)
}

func (l *livePath) refuse(v reflect.Value) error {
	return fmt.Errorf("%s cannot be used, since %s is not a number or boolean: %s", l, v.Type(), advise(l.name))
}

// target follows pointers to the value that they point to.
func (l *livePath) target(v reflect.Value) (reflect.Value, error) {
	for range maxPointers {
		if values.Hides(v.Type()) {
			return v, l.refuse(v)
		}
		p, ok := values.Load(v)
		switch {
		case !ok && v.Kind() == reflect.Pointer:
			return v, l.refuse(v)
		case !ok || p.Kind() != reflect.Pointer:
			return v, nil
		case p.IsNil():
			return v, fmt.Errorf("%s: there is a nil %s on the way", l, p.Type())
		}
		v = p.Elem()
	}
	return v, errPointers
}

// patchLive replaces the fields of live values by reads of them. It returns an error
// if an expression uses a live value in another way.
func (p *patcher) patchLive(root *ast.Node, lives map[string]any) error {
	if len(lives) == 0 {
		return nil
	}
	ast.Walk(root, visitor(func(node *ast.Node) {
		switch n := (*node).(type) {
		case *ast.MemberNode:
			property, ok := n.Property.(*ast.StringNode)
			if l := p.liveBelow(n.Node, lives); l != nil && ok {
				p.setLive(node, &livePath{root: l.root, name: l.name, path: append(slices.Clip(l.path), property.Value)})
			}
		case *ast.CallNode:
			// Load of sync/atomic returns what the field alone returns too.
			l, ok := p.sites[n.Callee].(*livePath)
			if ok && len(n.Arguments) == 0 && l.path[len(l.path)-1] == "Load" {
				p.setLive(node, &livePath{root: l.root, name: l.name, path: l.path[:len(l.path)-1], load: true})
			}
		}
	}))
	var failed error
	ast.Walk(root, visitor(func(node *ast.Node) {
		if err := p.checkLive(*node, lives); err != nil && failed == nil {
			failed = &file.Error{Location: (*node).Location(), Message: err.Error()}
		}
	}))
	return failed
}

func (p *patcher) liveBelow(node ast.Node, lives map[string]any) *livePath {
	if id, ok := node.(*ast.IdentifierNode); ok {
		if root, ok := lives[id.Value]; ok {
			return &livePath{root: root, name: id.Value}
		}
	}
	l, _ := p.sites[node].(*livePath)
	return l
}

func (p *patcher) setLive(node *ast.Node, l *livePath) {
	check := func([]reflect.Type) (reflect.Type, error) {
		now, err := l.read() // the type never changes, as there is no interface on the path
		return reflect.TypeOf(now), err
	}
	*node = p.site(*node, l, check, func(...any) (any, error) { return l.read() })
}

// checkLive returns an error for a live value that an expression cannot use.
func (p *patcher) checkLive(node ast.Node, lives map[string]any) error {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		v, ok := lives[n.Value]
		if _, can := usable(v); ok && !can {
			return fmt.Errorf("%s is of type %T: %s", n.Value, v, advise(n.Value))
		}
	case *ast.CallNode:
		if l, ok := p.sites[n].(*livePath); ok {
			_, err := l.read()
			return err
		}
	}
	return nil
}
