package eval

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

const (
	maxLine    = 64 << 10 // bytes of one line
	maxSnippet = 1000     // bytes of a line that an error still quotes
	fewNames   = 20       // so many names an error lists in full
	maxMessage = 4 << 10  // bytes of an error's text
)

// engine evaluates lines over values that have names. lookup is called once in an
// evaluation for each name that the line uses, names to say which there are, keep
// for an assignment; all from the goroutine of eval. One evaluation at a time is
// what it is for; one that was abandoned (its method blocks) may still run while the
// next begins, and shares nothing with it.
type engine struct {
	lookup func(name string) (value any, ok bool, err error)
	names  func() []string

	keep func(name string, value any) error
}

// assignment is "name = expression". An == is none, and neither is expr's own
// "let name = expression; ...".
var assignment = regexp.MustCompile(`^\s*([A-Za-z_]\w*)\s*=(?:[^=]|$)`)

// eval evaluates a line. has is false where there is nothing to show: an
// assignment, or a method without results.
//
// When ctx ends, loops of the expression end and the error is context.Cause(ctx).
// A method of the program that blocks does not end; then the caller may leave
// the goroutine alone and go on, for what it returns later is not kept. A panic
// of a method is an error. Values are read as they are: nothing locks what the
// program writes at the same time.
func (e *engine) eval(ctx context.Context, line string) (result any, has bool, err error) {
	// expr recovers what its machine panics with, but neither lookup nor the
	// parser and the checker are inside of that.
	defer func() {
		if r := recover(); r != nil {
			result, has, err = nil, false, fmt.Errorf("%.*s", maxMessage, fmt.Sprint(r))
		}
	}()
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	if len(line) > maxLine {
		return nil, false, fmt.Errorf("the line has %d bytes; at most %d are evaluated", len(line), maxLine)
	}
	if !utf8.ValidString(line) {
		return nil, false, errors.New("the line is not UTF-8")
	}
	source, name := line, ""
	if m := assignment.FindStringSubmatchIndex(line); m != nil {
		name = line[m[2]:m[3]]
		if err := keepable(name); err != nil {
			return nil, false, err
		}
		equals := m[3] + strings.IndexByte(line[m[3]:], '=') + 1
		// All of it is ASCII: positions in errors stay those of the line.
		source = strings.Repeat(" ", equals) + line[equals:]
	}
	m := &meter{ctx: ctx, left: maxMemory, elements: maxElements}
	if name != "" {
		m.left, m.elements = maxKeptMemory, maxKeptElements
	}
	result, err = e.run(m, source)
	switch {
	case errors.Is(err, errEnded), ctx.Err() != nil:
		return nil, false, context.Cause(ctx)
	case err != nil:
		return nil, false, shown(err, line)
	case name == "":
		return result, result != nil || !m.noResult, nil
	case result == nil && m.noResult:
		return nil, false, fmt.Errorf("it was called and has no result; nothing is kept as %s", name)
	}
	return nil, false, e.keep(name, result)
}

// run compiles the source for the types that the values have now, and runs it.
func (e *engine) run(m *meter, source string) (any, error) {
	p, err := parse(source)
	if err != nil {
		return nil, err
	}
	env, err := e.env(p)
	if err != nil {
		return nil, err
	}
	program, err := p.compile(m, env)
	if err != nil {
		return nil, err
	}
	machine := vm.VM{MemoryBudget: m.elements}
	return machine.Run(program, env)
}

// env looks the names up that an expression uses.
func (e *engine) env(p *parsed) (map[string]any, error) {
	env := map[string]any{}
	for _, id := range p.names() {
		if _, ok := env[id.Value]; ok {
			continue
		}
		v, ok, err := e.lookup(id.Value)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, &file.Error{
				Location: id.Location(),
				Message:  fmt.Sprintf("unknown name %.100s%s", id.Value, e.hint(id.Value)),
			}
		}
		env[id.Value] = v
	}
	return env, nil
}

// hint says which names there are, or which of many are meant.
func (e *engine) hint(name string) string {
	all := slices.Sorted(slices.Values(e.names()))
	text := "; there are "
	if len(all) > fewNames {
		text = "; did you mean "
		all = slices.DeleteFunc(all, func(other string) bool {
			return !isSlip(strings.ToLower(name), strings.ToLower(other))
		})
		all = all[:min(len(all), fewNames)]
	}
	if len(all) == 0 {
		return ""
	}
	return text + strings.Join(all, ", ")
}

// isSlip says whether a and b differ in one place by at most two letters.
func isSlip(a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for a != "" && b != "" && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return len(a) <= 2 && len(b) <= 2
}

// The words of expr (its lexer's state.go, its parser's parseSecondary) that an
// expression could not name again.
var words = []string{
	"true", "false", "nil", "let", "if", "else", "not", "in", "and", "or",
	"matches", "contains", "startsWith", "endsWith",
}

func keepable(name string) error {
	if _, ok := builtin.Index[name]; ok || slices.Contains(words, name) {
		return fmt.Errorf("%s is a word of the language; keep the value under another name", name)
	}
	return nil
}

// shown is an error as expr shows it, with the place in the line. Of a long line
// only the position is given.
func shown(err error, line string) error {
	var at *file.Error
	if !errors.As(err, &at) {
		// The compiler puts its own stack below the first line.
		text, _, _ := strings.Cut(err.Error(), "\n")
		return errors.New(text)
	}
	at.Message = fmt.Sprintf("%.*s", maxMessage, at.Message)
	at.Bind(file.NewSource(line))
	if len(line) > maxSnippet {
		at.Snippet = ""
		return fmt.Errorf("%s (%d:%d)", at.Message, at.Line, at.Column+1)
	}
	return at
}
