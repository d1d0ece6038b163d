package eval

import (
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type served struct {
	N     int
	On    bool
	State level
	Took  time.Duration
	Hits  atomic.Int64
	Now   atomic.Pointer[served]
	Next  *served
	Count *int
	inner
	*Outer
	Secret hidden
	Hide   *hidden
	Token  token

	Last  error
	Any   any
	Name  string
	List  []int
	Map   map[string]int
	Call  func() int
	hide  int
	Array [2]int
	Loop  *loops
}

type (
	inner  struct{ Promoted int }
	Outer  struct{ Behind int }
	hidden struct{ N int }
	token  string
	level  int
	loops  *loops
)

func (hidden) LogValue() slog.Value { return slog.StringValue("REDACTED") }
func (token) LogValue() slog.Value  { return slog.StringValue("REDACTED") }
func (level) String() string        { panic("String of a live value") }
func (s *served) Len() int          { panic("a method of a live value") }
func (s *served) Load() int         { panic("a method of a live value") }

func liveEngine(lives map[string]any) *engine {
	return &engine{
		lookup: func(name string) (any, bool, error) { v, ok := lives[name]; return live{v}, ok, nil },
		names:  func() []string { return slices.Collect(maps.Keys(lives)) },
		keep:   func(string, any) error { return nil },
	}
}

func newServed() *served {
	s := &served{N: 3, On: true, State: 2, Took: time.Second, Next: &served{N: 4}, Count: new(int), inner: inner{5}, Outer: &Outer{6},
		Last: errors.New("x"), Any: 1, Name: "n", List: []int{1}, Map: map[string]int{"a": 1}, hide: 1, Hide: new(hidden)}
	s.Hits.Store(7)
	s.Now.Store(&served{N: 8})
	var l loops
	l = &l
	s.Loop = &l
	return s
}

func TestLiveValuesAllowNumbers(t *testing.T) {
	began := time.Unix(1000, 0)
	lives := map[string]any{
		"s": newServed(), "counter": new(atomic.Int64), "flag": new(atomic.Bool), "n": 3, "text": "abc", "level": level(2), "began": began,
		"none": nil, "config": struct {
			Name string
			Deep struct{ On bool }
		}{Name: "fixed"},
	}
	for line, want := range map[string]any{
		"s.N": 3, "s.N + 1": 4, "s.On ? 1 : 2": 1, "s.State": 2, "s.State == 2": true, "s.Took": time.Second, "s.Took > duration('1ms')": true,
		"s.Hits": int64(7), "s.Hits.Load() * 2": 14, "s.Now.N": 8, "s.Now.Load().N": 8, "s.Next.N": 4, "s.Count": 0,
		"s.Promoted": 5, "s.Behind": 6, "s.inner.Promoted": nil, "map(1..2, # + s.N)": []any{4, 5}, "filter([3, 4], # == s.N)": []any{3},
		"counter.Load()": int64(0), "counter": nil, "flag.Load()": false, "n + 1": 4, "text + 'd'": "abcd", "level": 2, "string(level)": "2",
		"began.Unix()": int64(1000), "none": nil, "config.Name": "fixed", "config.Deep.On": false, "s?.N": 3,
	} {
		t.Run(line, func(t *testing.T) {
			result, _, err := liveEngine(lives).eval(t.Context(), line)
			if want == nil && line != "none" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, result)
		})
	}
}

func TestLiveValuesRefuseOtherUses(t *testing.T) {
	const why = "the program may be writing s; use a number or boolean in it (s.FIELD), or -racy EXPRESSION, which can end the program"
	lives := map[string]any{"s": newServed(), "token": token("x"), "list": []int{1}, "nowhere": (*served)(nil), "f": func() int { return 1 }, "n": level(1)}
	for line, want := range map[string]string{
		"s":                    "s is of type *eval.served: " + why + " (1:1)",
		"1 + s.N + len(s.Map)": "s.Map cannot be used, since map[string]int is not a number or boolean: " + why,
		"s.Last":               "s.Last cannot be used, since error is not",
		"s.Last.Error()":       "s.Last.Error cannot be used, since error is not",
		"s.Any":                "s.Any cannot be used, since interface {} is not",
		"s.Name":               "s.Name cannot be used, since string is not",
		"s.List[0]":            "s.List cannot be used, since []int is not",
		"s.Map.a":              "s.Map.a cannot be used, since map[string]int is not",
		"s.Array[0]":           "s.Array cannot be used, since [2]int is not",
		"s.Call()":             "s.Call cannot be used, since func() int is not",
		"s.Next":               "s.Next cannot be used, since eval.served is not",
		"s.Len()":              "s.Len: eval.served has no field Len, and methods are not called: " + why,
		"s.Load()":             "s cannot be used, since eval.served is not",
		"s.Next.Load()":        "s.Next cannot be used, since eval.served is not",
		"s.hide":               "has no field hide",
		"s.Next.Next.N":        "s.Next.Next.N: there is a nil *eval.served on the way",
		"s.Secret.N":           "s.Secret.N cannot be used, since eval.hidden is not",
		"s.Hide.N":             "s.Hide.N cannot be used",
		"s.Token":              "s.Token cannot be used, since eval.token is not",
		"s.Loop":               "a pointer leads to itself",
		"token":                "token is of type eval.token: the program may be writing token",
		"list[0]":              "list is of type []int",
		"f()":                  "f is of type func() int",
		"nowhere.N":            "there is a nil *eval.served on the way",
		"n.String()":           "n.String cannot be used, since eval.level is not",
		"s[\"N\" + \"\"]":      "s is of type *eval.served",
		"x = s":                "s is of type *eval.served",
		"let a = s; a.N":       "s is of type *eval.served",
		"s.N()":                "not callable",
	} {
		t.Run(line, func(t *testing.T) {
			result, has, err := liveEngine(lives).eval(t.Context(), line)
			require.ErrorContains(t, err, want)
			require.False(t, has)
			require.Nil(t, result)
		})
	}
}
