package eval

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrors(t *testing.T) {
	for line, want := range map[string]string{
		"":                               "unexpected token EOF",
		"1 +":                            "unexpected token EOF (1:3)\n | 1 +\n | ..^",
		"1 + \"a\"":                      "invalid operation: + (mismatched types int and string) (1:3)\n | 1 + \"a\"\n | ..^",
		"x = 1 + \"a\"":                  "(1:7)\n | x = 1 + \"a\"\n | ......^",
		"cache.Foo()":                    "type eval.cache has no method Foo (1:7)\n | cache.Foo()\n | ......^",
		"cache.Next.Foo":                 "type eval.cache has no field Foo (1:12)",
		"cache.Next.Next.Next.Out":       "cannot fetch Next from *eval.cache",
		"cache.limit":                    "type eval.cache has no field limit",
		"cache.Load(\"\")":               "no such key (1:7)\n | cache.Load(\"\")\n | ......^",
		"cache.Load()":                   "not enough arguments to call Load (1:7)",
		"cache.Load(\"a\", 1)":           "too many arguments to call Load",
		"cache.Load(1)":                  "cannot use int as argument (type string) to call Load",
		"cache.Load(nil)":                "cannot use nil as argument (type string) to call Load",
		"cache.Small(256)":               "cannot use 256 (type int) as argument (type uint8) to call Small",
		"cache.Small(-1)":                "cannot use -1 (type int) as argument (type uint8) to call Small",
		"double(2.5)":                    "cannot use 2.5 (type float64) as argument (type int) to call double",
		"cache.Explode()":                "Explode panicked: boom (1:7)",
		"cache.Crash()":                  "Crash panicked: runtime error: invalid memory address",
		"nilcache.Limit()":               "Limit panicked: runtime error: invalid memory address",
		"nothing()":                      "nothing is nil; cannot call nil as function",
		"count.x":                        "type int has no field x",
		"cache()":                        "*eval.cache is not callable",
		"broken":                         "broken: its function failed",
		"filter(conns, .Idle)":           "predicate should return boolean (got int)",
		"any(conns, .Nope)":              "type eval.conn has no field Nope",
		"map(1..1e9, #)":                 "invalid operation: .. (mismatched types int and float64)",
		"nothing.Foo":                    "cannot fetch Foo from <nil>",
		"d > 60":                         "mismatched types time.Duration and int",
		"conns[9]":                       "index out of range",
		"$env":                           "unknown name $env",
		"x = cache.Explode()":            "boom",
		"x = level.Set(debug)":           "no result; nothing is kept as x",
		"filter = 1":                     "filter is a word of the language",
		"let = 1":                        "let is a word of the language",
		"repeat(\"a\")":                  "not enough arguments to call repeat",
		"join(1)":                        "cannot use int as argument (type []string) to call join",
		"upper(1)":                       "cannot use int as argument (type string) to call upper",
		strings.Repeat("(", 2000):        "more than 1000 brackets or signs",
		strings.Repeat("- ", 2000) + "1": "more than 1000 brackets or signs",
		strings.Repeat("1+", 9000) + "1": "exceeds maximum allowed nodes",
		strings.Repeat(" ", maxLine+1):   "the limit is 65536",
		"\"\xff\"":                       "not UTF-8",
		"\"a\" matches \"(\"":            "missing closing )",
	} {
		t.Run(fmt.Sprintf("%.40s", line), func(t *testing.T) {
			result, has, err := newProgram().engine().eval(t.Context(), line)
			require.ErrorContains(t, err, want)
			require.NotContains(t, err.Error(), "goroutine ")
			require.Less(t, len(err.Error()), 10_000)
			require.False(t, has)
			require.Nil(t, result)
		})
	}
}

func TestUnknownNames(t *testing.T) {
	locals := map[string]any{"cache": 1, "conns": 2}
	lookup := func(name string) (any, bool, error) { v, ok := locals[name]; return v, ok, nil }
	e := &engine{lookup: lookup, names: func() []string { return slices.Collect(maps.Keys(locals)) }}
	_, _, err := e.eval(t.Context(), "1 + chace")
	require.EqualError(t, err, "unknown name chace; there are cache, conns (1:5)\n | 1 + chace\n | ....^")
	for i := range 30 {
		locals[fmt.Sprint("other_name", i)] = i
	}
	_, _, err = e.eval(t.Context(), "1 + cachee")
	require.EqualError(t, err, "unknown name cachee; did you mean cache (1:5)\n | 1 + cachee\n | ....^")
}

func TestKeptNames(t *testing.T) {
	p := newProgram()
	e := p.engine()
	for _, line := range []string{"x = cache.Len()", "y = x + 1", "cache = 5", " z= y", "n = nil", "b = 1 == 1"} {
		_, has, err := e.eval(t.Context(), line)
		require.NoError(t, err, line)
		require.False(t, has, line)
	}
	require.Equal(t, map[string]any{"x": 3, "y": 4, "cache": 5, "z": 4, "n": nil, "b": true}, p.vars())
	result, has, err := e.eval(t.Context(), "x + y + cache")
	require.NoError(t, err)
	require.True(t, has)
	require.Equal(t, 12, result)
	for _, line := range []string{"x == 3", "let q = x; q == 3"} {
		result, has, err = e.eval(t.Context(), line)
		require.NoError(t, err)
		require.True(t, has)
		require.Equal(t, true, result)
	}
	_, _, err = e.eval(t.Context(), "full = 1")
	require.EqualError(t, err, "100 names are kept already")
}

func TestEachUsedNameIsLookedUpOnce(t *testing.T) {
	p := newProgram()
	e := p.engine()
	_, _, err := e.eval(t.Context(), "let q = 1; q + len(conns) + len(filter(conns, .Idle > count)) + double(count) + {m: 1}.m")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"conns", "count", "double"}, p.asked)
}
