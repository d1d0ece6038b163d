package eval

import (
	"errors"
	"fmt"
	"regexp/syntax"

	"github.com/expr-lang/expr/ast"
)

// match limits the pattern and the text of a match, because nothing can interrupt a
// match. It also limits the compiled pattern, which may be far longer than its text.
func (p *patcher) match(n *ast.BinaryNode) {
	n.Right = p.site(n.Right, nil, plainType, func(args ...any) (any, error) {
		pattern, _ := args[0].(string)
		return args[0], checkPattern(pattern)
	}, n.Right)
	n.Left = p.site(n.Left, nil, plainType, func(args ...any) (any, error) {
		if text, _ := args[0].(string); len(text) > maxMatched {
			return nil, fmt.Errorf("a text of %d bytes is too long for a pattern; the limit is %d", len(text), maxMatched)
		}
		return args[0], nil
	}, n.Left)
}

const (
	maxMatched  = 256 << 10 // bytes of a text
	maxPattern  = 1 << 10   // bytes of a pattern
	maxCompiled = 2000      // instructions of a compiled pattern
)

// checkPattern returns an error for a pattern that is too long or too complex. It
// accepts an invalid pattern: expr returns an error for that.
func checkPattern(pattern string) error {
	if len(pattern) > maxPattern {
		return fmt.Errorf("a pattern of %d bytes is too long; the limit is %d", len(pattern), maxPattern)
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil
	}
	prog, err := syntax.Compile(re.Simplify())
	if err == nil && len(prog.Inst) > maxCompiled {
		return errors.New("the pattern is too complex: its repetitions make it too long")
	}
	return nil
}
