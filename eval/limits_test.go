package eval

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestMemoryIsBounded(t *testing.T) {
	doubled := func(first, next string, n int) string {
		line := "let a0 = " + first + "; "
		for i := range n {
			line += fmt.Sprintf("let a%d = %s; ", i+1, strings.ReplaceAll(next, "@", fmt.Sprint("a", i)))
		}
		return line
	}
	for _, line := range fewer(
		"1..1000000000",
		"map(1..1000000000000, #)",
		"-9223372036854775807..9223372036854775807 | len() > 0 ? 1..3000000 : 1..3000000",
		`repeat("x", 1000000000)`,
		`repeat(repeat("x", 1000), 1000000)`,
		`let s = repeat("x", 1000000); replace(s, "", s)`,
		`let s = repeat("x", 1000000); join(map(1..1000000, "y"), s)`,
		`let s = repeat("x", 1000000); map(1..1000000, s + "y")`,
		`map(1..1000000, "`+strings.Repeat("x", 1000)+`" + "y")`,
		doubled(`"x"`, "@ + @", 40)+"len(a40)",
		doubled("[1]", "concat(@, @)", 40)+"len(a40)",
		doubled("[1]", "[@, @]", 40)+"len(flatten(a40))",
		doubled("[1]", "[@, @]", 40)+"toJSON(a40)",
		doubled("[1]", "[@, @]", 40)+"string(a40)",
		doubled("[1]", "[@, @]", 40)+"max(a40)",
		doubled("[1]", "[@, @]", 40)+"median(a40)",
		"reduce(1..100, concat(#acc, #acc), [1])",
		`reduce(1..100, #acc + #acc, "x")`,
		"let a = 1..900000; flatten(map(a, a))",
		"let a = 1..900000; map(a, map(a, #))",
		"let a = 1..900000; all(a, all(a, any([1], true)))",
		`let s = repeat("x", 1000000); map(1..1000000, upper(s))`,
		`let s = repeat("x", 1000000); map(1..1000000, split(s, ""))`,
	) {
		t.Run(fmt.Sprintf("%.60s", line), func(t *testing.T) {
			_, _, err := evalInTime(t, t.Context(), newProgram().engine(), line)
			require.ErrorContains(t, err, "memory budget exceeded")
		})
	}
	t.Run("lines", func(t *testing.T) {
		e := newProgram().engine()
		_, _, err := e.eval(t.Context(), `x = "x"`)
		for range 40 {
			if err == nil {
				_, _, err = evalInTime(t, t.Context(), e, "x = x + x")
			}
		}
		require.ErrorContains(t, err, "memory budget exceeded")
	})
}

// fewer returns lines, or every third of them with the race detector: each takes ten times as
// long then, and runs on one goroutine.
func fewer(lines ...string) (some []string) {
	for i, line := range lines {
		if i%3 == 0 || !testwait.RaceDetector {
			some = append(some, line)
		}
	}
	return some
}

// evalInTime calls e.eval. It fails the test if the call takes too long.
func evalInTime(t *testing.T, ctx context.Context, e *engine, line string) (result any, has bool, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, has, err = e.eval(ctx, line)
	}()
	testwait.Receive(t, done, "the end of %.200s", line)
	return result, has, err
}

func TestLoopsEndWithContext(t *testing.T) {
	cause := errors.New("the session is over")
	for _, line := range []string{
		"%s all(a, all(a, true))",
		"%s map(a, count(a, # > 0))[0]",
		"%s filter(a, any(a, false))",
		"%s one(a, none(a, false))",
		"%s find(a, sum(a) < 0)",
		"%s findIndex(a, sum(a, 1) < 0)",
		"%s findLast(a, findLastIndex(a, false) == 1)",
		"%s reduce(a, reduce(a, #acc + #))",
		"%s sortBy(a, sum(a))",
		"%s groupBy(a, sum(a))",
		"%s uniq(a)",
		"%s x = all(a, # in a)",
		"%s all(a, {let b = #; all(a, # < b or # >= b)})",
	} {
		t.Run(line, func(t *testing.T) {
			p := newProgram()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			p.locals["begun"] = func() bool {
				// Cancel while the loop runs. Before the loop, the test would show less.
				time.AfterFunc(30*time.Millisecond, func() { cancel(cause) })
				return true
			}
			line = fmt.Sprintf(line, "let a = begun() ? 1..900000 : 1..900000;")
			result, has, err := evalInTime(t, ctx, p.engine(), strings.Replace(line, " x =", "", 1))
			require.Equal(t, cause, err)
			require.False(t, has)
			require.Nil(t, result)
		})
	}
}

func TestEndedContextEvaluatesNothing(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(io.ErrClosedPipe)
	p := newProgram()
	_, _, err := p.engine().eval(ctx, "cache.Len()")
	require.Equal(t, io.ErrClosedPipe, err)
	require.Empty(t, p.asked)
}

func TestAbandonedEvaluation(t *testing.T) {
	p := newProgram()
	begun, release := make(chan struct{}), make(chan struct{})
	p.locals["block"] = func() int { close(begun); <-release; return 1 }
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo() // a failing test must not leave the goroutine behind
	e := p.engine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, _, err := e.eval(ctx, "late = block()")
		done <- err
	}()
	testwait.Receive(t, begun, "the call of block")
	cancel()
	for range 100 {
		_, _, err := e.eval(t.Context(), "x = cache.Len() + len(conns)")
		require.NoError(t, err)
		letGo()
	}
	require.Equal(t, context.Canceled, testwait.Receive(t, done, "the end of the evaluation"))
	require.Equal(t, map[string]any{"x": 6}, p.vars())
}

func TestNestedOverloadsAreCheckedOnce(t *testing.T) {
	line := strings.Repeat("sort(", 100) + "[2, 1]" + strings.Repeat(")", 100)
	result, _, err := evalInTime(t, t.Context(), newProgram().engine(), line)
	require.NoError(t, err)
	require.Equal(t, []any{1, 2}, result)
}

func FuzzEval(f *testing.F) {
	for _, line := range []string{
		"1+2", "cache.Len()", "filter(conns, .Idle > 60)", "x = 1", "level.Set(debug)", "let a = 1; a", "a?.b.c()",
		"map(1..3, {let x = #; #index + x})", "conns | groupBy(.State) | keys()", "sortBy(conns, .Idle, 'desc')[0].Name",
		"cache.Stats.Hits.Load()", "if true {1} else {2}", "nothing?.Foo ?? 3", "\"a\" matches \"b*\"", "conns[1:][0]",
		"{a: 1, (\"b\" + \"c\"): [1,2]}.bc", "cache.Sum(1, 2, 3)", "reduce(1..9, #acc + #)", "toJSON(m)", "::len(m)",
		"1 < 2 < 3", "not (d > duration('1s'))", "$env.cache", "cache.Explode()", "uniq(1..100)", "b'x' == b'x'",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		e := newProgram().engine()
		// The fuzzer does not report an input that runs without end.
		late := time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("eval does not end: %q", line)) })
		defer late.Stop()
		_, _, _ = e.eval(ctx, line)
	})
}

func TestMatchesAreBounded(t *testing.T) {
	for line, want := range map[string]string{
		`repeat("a", 900000) matches "b"`:                                     "a text of 900000 bytes is too long for a pattern",
		`"a" matches repeat("a", 2000)`:                                       "a pattern of 2000 bytes is too long",
		`"a" matches "(a?){1000}(a?){1000}(a?){1000}"`:                        "too complex",
		`let p = repeat("(a?){1000}", 100); repeat("a", 900) matches p + "b"`: "too complex",
	} {
		_, _, err := evalInTime(t, t.Context(), newProgram().engine(), line)
		require.ErrorContains(t, err, want, line)
	}
	result, _, err := newProgram().engine().eval(t.Context(), `filter(conns, .Name matches "^[ab]$") | len()`)
	require.NoError(t, err)
	require.Equal(t, 2, result)
}

func TestKeptValuesHaveLowerLimits(t *testing.T) {
	p := newProgram()
	e := p.engine()
	_, _, err := e.eval(t.Context(), `len(map(1..990000, string(#)))`)
	require.NoError(t, err)
	_, _, err = e.eval(t.Context(), `x = map(1..990000, string(#))`)
	require.ErrorContains(t, err, "memory budget exceeded")
	require.Empty(t, p.vars())
}

type (
	selfPointer *selfPointer
	selfList    []selfList
	otherList   []otherList
)

// TestCyclesEnd: a list that contains itself, and a pointer that leads to itself,
// have no end. An overflow of the stack would end the process.
func TestCyclesEnd(t *testing.T) {
	p := newProgram()
	cycle := []any{nil}
	cycle[0] = cycle
	twin := []any{nil}
	twin[0] = twin
	loop := map[string]any{}
	loop["loop"] = loop
	var pointer any
	pointer = &pointer
	var self selfPointer
	self = &self
	list := selfList{nil}
	list[0] = list
	maps.Copy(p.locals, map[string]any{
		"cycle": cycle, "twin": twin, "lists": []any{cycle, twin}, "behind": &cycle, "loop": loop, "pointer": pointer, "self": self, "list": list,
		"holder": struct {
			Pointer any
			Self    selfPointer
		}{pointer, self},
		"ints":  func(...int) int { return 0 },
		"other": func(otherList) int { return 0 },
		"takes": func([]any) int { return 0 },
		"one":   []any{1}, "five": 5,
	})
	for _, line := range []string{
		"cycle == cycle", "cycle == twin", "cycle != twin", "[cycle] == [twin]", "(cycle ?? 1) == twin", "behind == twin",
		"{a: cycle} == {a: twin}", "cycle in lists", "cycle in [twin]", "[cycle] in [[twin]]", "loop == {loop: loop}",
		"uniq(lists)", "uniq([cycle, twin])", "uniq([[cycle], [twin]])", "uniq(behind)", "len(uniq(map(lists, #)))",
		"any(lists, # == twin)", "lists[0] == lists[1]", "one[0][cycle]", "one[0][cycle:1]", "one[cycle]", "get(one[0], cycle)", "lists[cycle]",
		"cache.Small(cycle)", "ints(cycle)", "other(list)", "takes(list)", "string(cycle)", "toJSON(cycle)", "max(cycle)", "min(lists)", "mean(cycle)",
		"median(cycle)", "flatten(cycle)", "join(cycle)", "sort(lists)", "string(behind)", "toJSON(loop)", "string(loop)",
		"pointer", "pointer == 1", "pointer.x", "pointer[0]", "len(pointer)", "map(pointer, 1)", "self", "self == 1", "self.x", "self[0]", "map(self, 1)",
		"holder.Pointer == 1", "holder.Self.x", "[holder][0].Self.x", "[holder][0].Pointer.x", "map([holder], .Pointer == 1)",
		"map([holder], len(.Self))", "ints(holder.Pointer)", "keys(holder.Pointer)",
	} {
		t.Run(line, func(t *testing.T) {
			_, _, err := evalInTime(t, t.Context(), p.engine(), line)
			require.Error(t, err)
			require.Less(t, len(err.Error()), 1000)
		})
	}
	for line, want := range map[string]any{
		"len(cycle)": 1, "len(cycle[0][0])": 1, "len(concat(cycle, twin))": 2, "1 in lists": false, "len(loop.loop)": 1,
		"len(map(lists, #[0]))": 2, "uniq([1, [1], [1], 1])": []any{1, []any{1}}, "[1, [2]] == [1, [2]]": true, "[1] in [[1]]": true,
		"keys(loop)": []any{"loop"},
	} {
		result, _, err := evalInTime(t, t.Context(), p.engine(), line)
		require.NoError(t, err, line)
		require.Equal(t, want, result, line)
	}
}

type link struct {
	N    int
	Next *link
}

func chain(n int) (first *link) {
	for range n {
		first = &link{Next: first}
	}
	return first
}

// Comparing them would follow their pointers by recursion, and the stack would overflow.
func TestLongListsAreNotCompared(t *testing.T) {
	p := newProgram()
	round := &link{}
	round.Next = round
	maps.Copy(p.locals, map[string]any{"a": chain(1_500_000), "b": chain(1_500_000), "short": chain(1000), "other": chain(1000), "round": round})
	for _, line := range []string{"a == b", "a != b", "[a] == [b]", "{a: a} == {a: b}", "a in [b]", "[a] in [[b]]", "uniq([a, b])", "toJSON(a)"} {
		_, _, err := evalInTime(t, t.Context(), p.engine(), line)
		require.ErrorContains(t, err, "memory budget exceeded", line)
	}
	for line, want := range map[string]any{
		"short == other": true, "[short] in [[other]]": true, "len(uniq([short, other]))": 1, "a == nil": false, "round == round": true,
		"round != short": true, "a.N": 0, "len(string(a)) > 0": true,
	} {
		result, _, err := evalInTime(t, t.Context(), p.engine(), line)
		require.NoError(t, err, line)
		require.Equal(t, want, result, line)
	}
}

// evil is an error that cannot be used in any way.
type evil struct{ With any }

func (e evil) Error() string                { panic(e) }
func (e evil) Is(error) bool                { panic(e) }
func (e evil) As(any) bool                  { panic(e) }
func (e evil) Unwrap() error                { panic(e) }
func (e evil) Value() (any, error)          { return nil, e }
func (e evil) Panic() any                   { panic(e) }
func (e evil) PanicStringer() any           { panic(evilText{}) }
func (e evil) MarshalJSON() ([]byte, error) { panic(e) }

type evilText struct{}

func (e evilText) String() string { panic(e) }

func (e evilText) MarshalText() ([]byte, error) { panic(e) }

func TestPanicsOfPanicsAreErrors(t *testing.T) {
	p := newProgram()
	maps.Copy(p.locals, map[string]any{"evil": evil{}, "text": evilText{}, "list": []any{evil{}}, "other": "x"})
	for line, want := range map[string]string{
		"evil.Value()":            "eval.evil{With: nil} (its Error panicked: eval.evil{With: nil})",
		"evil.Panic()":            "Panic panicked: eval.evil{With: nil} (its Error panicked: eval.evil{With: nil})",
		"evil.PanicStringer()":    "PanicStringer panicked: eval.evilText{} (its String panicked: eval.evilText{})",
		"x = evil.Panic()":        "Panic panicked",
		"map(1..3, evil.Panic())": "Panic panicked",
		"string(text)":            "",
		"string(list)":            "",
		"string(evil)":            "",
		"toJSON(evil)":            "",
		"toJSON(text)":            "",
		"evil.Error()":            "Error panicked",
		"text.String()":           "String panicked",
		"other[evil]":             "",
		"list[evil]":              "",
		"evil + 1":                "",
		"evil[text]":              "",
		"double(evil)":            "",
		"{(text): 1}":             "",
	} {
		t.Run(line, func(t *testing.T) {
			_, _, err := p.engine().eval(t.Context(), line)
			require.ErrorContains(t, err, want)
		})
	}
}
