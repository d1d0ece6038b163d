package eval

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/values"
)

const (
	maxLine    = 64 << 10 // bytes of one line
	maxSnippet = 1000     // bytes of a line that an error quotes
	fewNames   = 20       // names that an error lists
	maxMessage = 4 << 10  // bytes of an error's text
)

// engine evaluates lines that use values by their names. In an evaluation, it calls
// lookup once for each name in the line (for a value that the program may write,
// lookup returns a live), names to list the known names in an error,
// and keep for an assignment. It makes these calls in the goroutine of eval. The
// caller does one evaluation at a time. But an abandoned evaluation, in which a
// method blocks, may still run when the next begins; the two share nothing.
type engine struct {
	lookup func(name string) (value any, ok bool, err error)
	names  func() []string

	keep func(name string, value any) error
}

// assignment matches "name = expression". It does not match ==, nor expr's own "let
// name = expression; ...".
var assignment = regexp.MustCompile(`^\s*([A-Za-z_]\w*)\s*=(?:[^=]|$)`)

// eval evaluates a line. has is false if there is no result to show: after an
// assignment, or a call of a method without results.
//
// When ctx ends, the loops of the expression end, and the error is
// context.Cause(ctx). A method of the program that blocks does not end. The caller
// may then abandon the goroutine and go on: eval does not keep a later result. A
// panic of a method is returned as an error.
func (e *engine) eval(ctx context.Context, line string) (result any, has bool, err error) {
	// expr recovers from panics of its machine, but not from panics in the parser, the
	// checker or lookup, and not if the methods of a panic's value panic.
	defer func() {
		if r := recover(); r != nil {
			result, has, err = nil, false, fmt.Errorf("%.*s", maxMessage, values.Failure(r))
		}
	}()
	// Reading memory that does not exist, such as the end of a mapped file that has
	// become shorter, is then a panic, and does not end the program.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	if ctx.Err() != nil {
		return nil, false, context.Cause(ctx)
	}
	if len(line) > maxLine {
		return nil, false, fmt.Errorf("the line has %d bytes; the limit is %d", len(line), maxLine)
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
		// The text before the expression is ASCII, so the same number of blanks keeps
		// the positions in errors right.
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
		return nil, false, fmt.Errorf("the call has no result; nothing is kept as %s", name)
	}
	return nil, false, e.keep(name, result)
}

// run compiles the source for the current types of the values, and runs it.
func (e *engine) run(m *meter, source string) (any, error) {
	p, err := parse(source)
	if err != nil {
		return nil, err
	}
	env, lives, err := e.env(p)
	if err != nil {
		return nil, err
	}
	program, err := p.compile(m, env, lives)
	if err != nil {
		return nil, err
	}
	machine := vm.VM{MemoryBudget: m.elements}
	return machine.Run(program, env)
}

// env looks up the names in an expression. lives has the values that the program may
// write.
func (e *engine) env(p *parsed) (env, lives map[string]any, err error) {
	env, lives = map[string]any{}, map[string]any{}
	for _, id := range p.names() {
		if _, ok := env[id.Value]; ok {
			continue
		}
		v, ok, err := e.lookup(id.Value)
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			return nil, nil, &file.Error{
				Location: id.Location(),
				Message:  fmt.Sprintf("unknown name %.100s%s", id.Value, e.hint(id.Value)),
			}
		}
		if l, ok := v.(live); ok {
			if v, ok = usable(l.value); !ok || !isPlain(v) {
				lives[id.Value] = l.value
			}
		}
		if err := checkPointers(v); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", id.Value, err)
		}
		env[id.Value] = v
	}
	return env, lives, nil
}

// hint lists the known names. If there are many, it lists those that are similar to
// name.
func (e *engine) hint(name string) string {
	all := slices.Sorted(slices.Values(e.names()))
	text := "; there are "
	if len(all) > fewNames {
		text = "; did you mean "
		all = slices.DeleteFunc(all, func(other string) bool {
			return !plaintext.IsSlip(strings.ToLower(name), strings.ToLower(other))
		})
		all = all[:min(len(all), fewNames)]
	}
	if len(all) == 0 {
		return ""
	}
	return text + strings.Join(all, ", ")
}

// words contains the words of expr's language (state.go of its lexer, parseSecondary
// of its parser). An expression could not use a value with such a name.
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

// shown returns an error in the form of expr, with the part of the line where it
// is. For a long line, it returns the position only.
func shown(err error, line string) error {
	var at *file.Error
	if !errors.As(err, &at) {
		// The compiler appends its own stack after the first line.
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
