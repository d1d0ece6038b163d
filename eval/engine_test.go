package eval

import (
	"log/slog"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestResults(t *testing.T) {
	for line, want := range map[string]any{
		"1234+2345":                             3579,
		"cache.Len()":                           3,
		"map(filter(conns, .Idle > 60), .Name)": []any{"b", "c"},
		"level.Level()":                         slog.LevelInfo,
		"level.Level() == debug":                false,
		"debug < 0":                             true,
		"level.Level() + 1":                     1,
		"d > duration(\"1m\")":                  true,
		"d":                                     90 * time.Second,
		"counter.Load()":                        int64(42),
		"counter.Add(1) - 1":                    42,
		"cache.Stats.Hits.Load()":               int64(11),
		"cache.Next.Limit()":                    int64(8),
		"cache.Out.Side":                        4,
		"cache.In.Pos":                          9,
		"any.String()":                          "INFO",
		"m.x + m[\"y\"]":                        3,
		"m.zzz":                                 0,
		"byID[7].Name":                          "a",
		"byID[7].Hits.Load()":                   int64(0),
		"conns[1].Hits.Load()":                  int64(5),
		"sum(map(conns, .Hits.Load()))":         5,
		"shapes[1].Side":                        2,
		"double(21)":                            42,
		"double(10/2)":                          10,
		"join3(\"a\", \"b\")":                   "ab",
		"join3(\"a\", \"b\", \"c\", \"d\")":     "abcd",
		"cache.Sum()":                           0,
		"cache.Sum(1, 2, counter.Load() - 42)":  3,
		"cache.Names(\"p\", \"open\", conns[0].State)": 3,
		"cache.Small(255)":                          uint8(255),
		"cache.Ratio(3)":                            float32(3),
		"cache.Ratio(1.5)":                          float32(1.5),
		"cache.Wait(1000)":                          "1µs",
		"cache.Wait(d)":                             "1m30s",
		"cache.Load(\"abc\") + 1":                   4,
		"cache.Lookup(\"abc\")":                     3,
		"cache.Three()":                             []any{1, "b", true},
		"cache.Fill(\"\")":                          []any{1, "b"},
		"cache.Err() == nil":                        true,
		"cache.Count(filter(conns, true))":          3,
		"filter(conns, .State == \"open\") | len()": 2,
		"filter(values({a: conns[0]}), .State == \"open\") | len()": 1,
		"upper(conns[0].State)":                      "OPEN",
		"conns[0].State startsWith \"op\"":           true,
		"nothing":                                    nil,
		"nothing == nil":                             true,
		"nothing?.Foo":                               nil,
		"cache.Next?.Next?.Next":                     nil,
		"cache?.Next.Limit()":                        int64(8),
		"count(conns, .Idle > 60) + count":           7,
		"let n = cache.Len(); n * n":                 9,
		"if count > 3 { \"many\" } else { \"few\" }": "many",
		"len(\"abc\") in [3]":                        true,
		"{a: 1}.a":                                   1,
		"string(level.Level())":                      "INFO",
		"1..3":                                       []int{1, 2, 3},
		"-count":                                     -5,
		"-debug":                                     4,
		"conns | map(.Idle) | max()":                 90,
	} {
		t.Run(line, func(t *testing.T) {
			result, has, err := newProgram().engine().eval(t.Context(), line)
			require.NoError(t, err)
			require.True(t, has)
			require.Equal(t, want, result)
		})
	}
}

func TestPredicates(t *testing.T) {
	for line, want := range map[string]any{
		"all(1..3, # > 0)":                         true,
		"none(1..3, # > 3)":                        true,
		"any(1..3, # == 2)":                        true,
		"one(1..3, # == 2)":                        true,
		"filter(1..5, # % 2 == 1)":                 []any{1, 3, 5},
		"filter([true, nil ?? false], #)":          []any{true},
		"map(1..3, # * #index)":                    []any{0, 2, 6},
		"map(filter(1..5, # > 3), # + 1)":          []any{5, 6},
		"count(1..5, # > 2)":                       3,
		"count(1..5, # > 2) > 1":                   true,
		"count([true, false])":                     1,
		"sum(1..4)":                                10,
		"sum(1..4, # * 2)":                         20,
		"find(1..5, # > 2)":                        3,
		"find(1..5, # > 9)":                        nil,
		"findIndex(1..5, # > 2)":                   2,
		"findLast(1..5, # < 4)":                    3,
		"findLastIndex(1..5, # < 4)":               2,
		"groupBy(1..4, # % 2)[0]":                  []any{2, 4},
		"sortBy([3, 1, 2], #)":                     []any{1, 2, 3},
		"sortBy([3, 1, 2], -#, \"desc\")":          []any{1, 2, 3},
		"reduce(1..4, #acc + #)":                   10,
		"reduce(1..4, #acc + #index, 100)":         106,
		"reduce([\"a\", \"b\"], #acc + #, \"x\")":  "xab",
		"map(1..2, {let x = #; map(1..2, # * x)})": []any{[]any{1, 2}, []any{2, 4}},
		"filter(1..3, any([2], # == 2))[0]":        1,
		"uniq([1, 2, 1.0, 2])":                     []any{1, 2},
		"sort([3, 1, 2], \"desc\")":                []any{3, 2, 1},
		"flatten([[1], [2, [3]]])":                 []any{1, 2, 3},
		"concat([1], [2])":                         []any{1, 2},
		"reverse(1..3)":                            []any{3, 2, 1},
		"join([\"a\", \"b\"], \"-\")":              "a-b",
		"split(\"a,b\", \",\")":                    []string{"a", "b"},
		"replace(\"aa\", \"a\", \"b\", 1)":         "ba",
		"repeat(\"ab\", 2)":                        "abab",
		"trim(\" a \")":                            "a",
		"median([1, 2, 3])":                        2.0,
		"toJSON([1])":                              "[\n  1\n]",
		"fromJSON(\"[1]\")":                        []any{1.0},
		"keys({a: 1})":                             []any{"a"},
		"min(3, [1, 2])":                           1,
	} {
		t.Run(line, func(t *testing.T) {
			result, has, err := newProgram().engine().eval(t.Context(), line)
			require.NoError(t, err)
			require.True(t, has)
			require.Equal(t, want, result)
		})
	}
}

func TestMethodWithoutResult(t *testing.T) {
	p := newProgram()
	e := p.engine()
	level := p.locals["level"].(*slog.LevelVar)
	for line, want := range map[string]slog.Level{
		"level.Set(debug)": slog.LevelDebug, "level.Set(-4)": -4, "level.Set(8)": 8, "1; level.Set(level.Level() + 1)": 5,
		"(level?.Set(3))": 3,
	} {
		level.Set(4)
		result, has, err := e.eval(t.Context(), line)
		require.NoError(t, err, line)
		require.False(t, has, line)
		require.Nil(t, result)
		require.Equal(t, want, level.Level(), line)
	}
	_, has, err := e.eval(t.Context(), "cache.SetLimit(10)")
	require.NoError(t, err)
	require.False(t, has)
	require.Equal(t, int64(10), p.locals["cache"].(*cache).limit)

	result, has, err := e.eval(t.Context(), "map(conns, .Close())")
	require.NoError(t, err)
	require.True(t, has)
	require.Equal(t, []any{nil, nil, nil}, result)
}

func TestNumbersKeepTheirValue(t *testing.T) {
	for _, test := range []struct {
		v  any
		to any
		ok bool
	}{
		{1, int8(1), true}, {128, int8(0), false}, {-1, uint(0), false}, {uint64(math.MaxUint64), int64(0), false},
		{uint64(7), int64(7), true}, {uint16(300), uint8(0), false}, {2.0, 2, true}, {2.5, 0, false}, {1e300, 0, false},
		{1e300, float32(0), false}, {math.NaN(), 0, false}, {3, slog.Level(3), true}, {int64(3), time.Duration(3), true},
	} {
		v, ok := convert(test.v, reflect.TypeOf(test.to))
		require.Equal(t, test.ok, ok, "%v to %T", test.v, test.to)
		if ok {
			require.Equal(t, test.to, v.Interface())
		}
	}
}
