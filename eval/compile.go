package eval

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

const (
	maxNodes = 10_000 // nodes in the syntax tree of a line
	maxDeep  = 1000   // open brackets, or signs in a row; the parser recurses for each
)

// parsed is an expression before the types of its names are known.
type parsed struct {
	tree   *parser.Tree
	config *conf.Config
}

// parse does the first step of expr.Compile. This package does the steps one by one,
// so that it can look up each name once, between parsing and checking. The parser does
// not know the names then. So count(conns) is always a call of expr's function, even if
// a local has the name count.
func parse(source string) (*parsed, error) {
	if tooDeep(source) {
		return nil, fmt.Errorf("more than %d brackets or signs are nested", maxDeep)
	}
	config := conf.CreateNew()
	config.MaxNodes = maxNodes
	// A line runs only once, so optimizing does not pay. And the optimizer would
	// compute constants without our limits.
	config.Optimize = false
	tree, err := parser.ParseWithConfig(source, config)
	if err != nil {
		return nil, err
	}
	return &parsed{tree, config}, nil
}

// tooDeep reports whether the parser would recurse too deeply. The parser counts
// the nodes too late to prevent that.
func tooDeep(source string) bool {
	brackets, signs := 0, 0
	for _, r := range source {
		switch r {
		case '(', '[', '{':
			brackets++
		case ')', ']', '}':
			brackets--
		case '-', '+', '!':
			signs++
		case ' ':
		default:
			signs = 0
		}
		if brackets > maxDeep || signs > maxDeep {
			return true
		}
	}
	return false
}

// names returns the nodes of all names that are not declared by let.
func (p *parsed) names() []*ast.IdentifierNode {
	var ids []*ast.IdentifierNode
	declared := map[string]bool{}
	ast.Walk(&p.tree.Node, visitor(func(node *ast.Node) {
		switch n := (*node).(type) {
		case *ast.IdentifierNode:
			ids = append(ids, n)
		case *ast.VariableDeclaratorNode:
			declared[n.Name] = true
		}
	}))
	return slices.DeleteFunc(ids, func(id *ast.IdentifierNode) bool { return declared[id.Value] })
}

type visitor func(node *ast.Node)

func (v visitor) Visit(node *ast.Node) { v(node) }

// compile patches the tree, checks it against the types in env and compiles it. The
// program may write the values in lives.
func (p *parsed) compile(m *meter, env, lives map[string]any) (*vm.Program, error) {
	p.config.WithEnv(env)
	patch := &patcher{m: m, functions: p.config.Functions, sites: map[ast.Node]any{}}
	if err := patch.patchLive(&p.tree.Node, lives); err != nil {
		return nil, err
	}
	ast.Walk(&p.tree.Node, visitor(patch.visit))
	if _, err := checker.Check(p.tree, p.config); err != nil {
		return nil, err
	}
	return compiler.Compile(p.tree, p.config)
}

// patcher replaces nodes of a tree with calls of functions in this package. It does
// so where expr would allocate without bound or run without end, and where expr
// handles Go's types in another way than a Go programmer expects. Each node gets a
// function of its own, because the result type depends on the node.
type patcher struct {
	m         *meter
	functions conf.FunctionsTable
	sites     map[ast.Node]any // the site of each call that the patcher has inserted
}

var (
	anyType   = reflect.TypeFor[any]()
	boolType  = reflect.TypeFor[bool]()
	errorType = reflect.TypeFor[error]()
	anysType  = reflect.TypeFor[[]any]()
)

type (
	function = func(args ...any) (any, error)
	// checkFunc returns the static type of a call from the types of its arguments.
	// A type is nil for the literal nil, and any if it is not known.
	checkFunc = func(args []reflect.Type) (reflect.Type, error)
)

// site makes a node that calls fn. The name of the function begins with #, so no
// line can contain it.
func (p *patcher) site(at ast.Node, what any, check checkFunc, fn function, args ...ast.Node) *ast.CallNode {
	name := fmt.Sprintf("#%d", len(p.functions))
	endless := func(args []reflect.Type) (reflect.Type, error) {
		t, err := check(args)
		return t, errors.Join(err, checkPointerType(t))
	}
	p.functions[name] = &builtin.Function{Name: name, Func: fn, Validate: endless}
	callee := &ast.IdentifierNode{Value: name}
	callee.SetLocation(at.Location())
	call := &ast.CallNode{Callee: callee, Arguments: args}
	call.SetLocation(at.Location())
	p.sites[call] = what
	return call
}

// before makes a node that calls fn and then evaluates node. Its type is that of
// node.
func (p *patcher) before(node ast.Node, fn function) ast.Node {
	call := p.site(node, nil, func([]reflect.Type) (reflect.Type, error) { return anyType, nil }, fn)
	seq := &ast.SequenceNode{Nodes: []ast.Node{call, node}}
	seq.SetLocation(node.Location())
	return seq
}

// visit patches a node. It has visited the children before.
func (p *patcher) visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.CallNode:
		if _, ours := p.sites[n]; !ours {
			p.call(node, n)
		}
	case *ast.MemberNode:
		p.fetch(node, n)
	case *ast.PointerNode:
		if n.Name == "" {
			*node = p.element(n)
		}
	case *ast.SliceNode:
		n.Node = p.sliced(n.Node)
		if n.From != nil {
			n.From = p.finite(n.From)
		}
		if n.To != nil {
			n.To = p.finite(n.To)
		}
	case *ast.ArrayNode:
		for i := range n.Nodes {
			n.Nodes[i] = p.kept(n.Nodes[i])
		}
	case *ast.PairNode:
		n.Value = p.kept(n.Value)
	case *ast.UnaryNode:
		n.Node = p.operand(n.Node)
	case *ast.BinaryNode:
		p.binary(node, n)
	case *ast.BuiltinNode:
		p.builtin(node, n)
	}
}

// fetch patches the access to a field or an element. Where expr fetches it, the node
// below charges for the copy.
func (p *patcher) fetch(node *ast.Node, n *ast.MemberNode) {
	if n.Method { // of a call, which is visited next
		return
	}
	below := p.uncharged(n.Node)
	_, name := below.(*ast.IdentifierNode)
	_, element := below.(*ast.PointerNode)
	if !name && !element {
		p.member(node)
		if *node != n {
			return
		}
	}
	property, named := n.Property.(*ast.StringNode)
	if !named {
		n.Property = p.finite(n.Property)
		property = &ast.StringNode{}
	}
	n.Node = p.charging(below, func(v any) uint64 {
		cost := glance(memberCopy(v, property.Value))
		if element {
			cost += glance(copySize(reflect.TypeOf(v)))
		}
		return cost
	})
}

// call replaces a call with a callSite.
func (p *patcher) call(node *ast.Node, n *ast.CallNode) {
	s := &callSite{m: p.m, name: "function", callee: n.Callee}
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		s.name = callee.Value
	case *ast.MemberNode:
		if property, ok := callee.Property.(*ast.StringNode); ok {
			s.name = property.Value
			p.address(&callee.Node)
			callee.Node = p.charging(callee.Node, func(v any) uint64 { return glance(memberCopy(v, s.name)) })
		}
	}
	*node = p.site(n, s, s.check, s.do, append([]ast.Node{n.Callee}, n.Arguments...)...)
}

// address makes the fields on the way to a method return their addresses.
// Otherwise server.Stats.Requests.Load() would find no method Load, because
// Requests would be a copy of an atomic.Int64.
func (p *patcher) address(node *ast.Node) {
	for {
		p.member(node)
		call, ok := (*node).(*ast.CallNode)
		if !ok {
			return
		}
		s, ok := p.sites[call].(*memberSite)
		if !ok {
			return
		}
		s.address = true
		node = &call.Arguments[0]
	}
}

// member replaces the access to a named field with a memberSite.
func (p *patcher) member(node *ast.Node) {
	n, ok := (*node).(*ast.MemberNode)
	if !ok || n.Optional || n.Method {
		return
	}
	if property, ok := n.Property.(*ast.StringNode); ok {
		s := &memberSite{m: p.m, name: property.Value}
		below := p.uncharged(n.Node) // the site charges itself
		if _, element := below.(*ast.PointerNode); element {
			below = n.Node
		}
		*node = p.site(n, s, s.check, s.do, below)
	}
}

func (p *patcher) binary(node *ast.Node, n *ast.BinaryNode) {
	switch n.Operator {
	case "==", "!=":
		p.compared(n)
	case "<", ">", "<=", ">=", "+", "-", "*", "/", "%", "**", "^", "..",
		"matches", "contains", "startsWith", "endsWith":
		n.Left, n.Right = p.operand(n.Left), p.operand(n.Right)
	case "in":
		n.Left, n.Right = p.charging(p.operand(n.Left), func(v any) uint64 { return equalCost(p.m, v) }), p.searched(n.Right)
	}
	if n.Operator == "matches" {
		p.match(n)
	}
	if n.Operator == "+" {
		*node = p.site(n, charged{}, plainType, func(args ...any) (any, error) {
			s, _ := args[0].(string)
			return args[0], p.m.charge(uint64(len(s)))
		}, n)
	}
}

// charged marks a + whose cost is charged already.
type charged struct{}

// operand converts a value of a named type to the predeclared type. Without this, expr
// can compare two values of type State, but not a State with a literal. If the static
// type is not known, it cannot compare a State at all.
func (p *patcher) operand(node ast.Node) ast.Node {
	switch n := node.(type) {
	case *ast.UnaryNode:
		return node
	case *ast.BinaryNode:
		if n.Operator != "??" { // the others make a number, string, boolean or range
			return node
		}
	}
	if _, ok := p.sites[node].(charged); ok || isLiteral(node) {
		return node
	}
	return p.site(node, nil, plainType, func(args ...any) (any, error) {
		v := plain(args[0])
		if err := checkPointers(v); err != nil {
			return nil, err
		}
		return v, p.m.charge(glance(derefCopy(v)))
	}, node)
}

// compared charges for a comparison of two lists, maps or structs. expr compares
// everything inside them, without end if there is a cycle.
func (p *patcher) compared(n *ast.BinaryNode) {
	var left any
	n.Left = p.charging(p.operand(n.Left), func(v any) uint64 {
		left = v
		return 0
	})
	n.Right = p.charging(p.operand(n.Right), func(right any) uint64 {
		if !isComposite(left) || !isComposite(right) {
			return 0
		}
		return equalCost(p.m, left)
	})
}

// builtin applies the limits to one of expr's own functions.
func (p *patcher) builtin(node *ast.Node, n *ast.BuiltinNode) {
	f := builtin.Builtins[builtin.Index[n.Name]]
	if !f.Predicate {
		if s := newBuiltinSite(p.m, f); s != nil {
			*node = p.site(n, s, s.check, s.do, n.Arguments...)
			return
		}
		for i, arg := range n.Arguments {
			n.Arguments[i] = p.followed(arg)
		}
		return
	}
	l := &loop{meter: p.m}
	n.Arguments[0] = p.site(n.Arguments[0], nil, same, l.begin, n.Arguments[0])
	if len(n.Arguments) < 2 {
		return
	}
	predicate, ok := n.Arguments[1].(*ast.PredicateNode)
	if !ok {
		return
	}
	step := l.step
	switch n.Name {
	case "filter":
		predicate.Node = p.site(predicate.Node, nil, boolOrWrong, l.match, predicate.Node)
	case "map":
		predicate.Node = p.site(predicate.Node, nil, same, l.added, predicate.Node)
	case "sortBy", "groupBy":
		step = l.element
	}
	predicate.Node = p.before(predicate.Node, step)
}

// boolOrWrong is the check of a predicate. It returns a wrong type unchanged, so
// that expr reports the error.
func boolOrWrong(args []reflect.Type) (reflect.Type, error) {
	if args[0] == anyType {
		return boolType, nil
	}
	return args[0], nil
}
