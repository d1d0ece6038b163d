package eval

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

const mib = 1 << 20

type (
	big   struct{ Bytes [40 * mib]byte }
	large struct {
		N    int
		Rest [1000]int
	}
	byValue struct{ Bytes [40 * mib]byte }
	point   struct{ X, Y int }
)

func (byValue) Len() int      { return 1 }
func (*big) Take(b big) int   { return 1 }
func (b *big) Give() big      { return *b }
func (*big) List(l []any) int { return len(l) }

func bigProgram() *program {
	p := newProgram()
	b := new(big)
	var larges []large
	for i := range 2000 {
		larges = append(larges, large{N: i})
	}
	var points []point
	for i := range 100_000 {
		points = append(points, point{i, i})
	}
	p.locals = map[string]any{
		"big": b, "bigs": []big{*b}, "array": &b.Bytes, "byValue": byValue{}, "larges": larges, "points": points,
		"nested": struct{ In *big }{b}, "table": map[string]big{"a": *b}, "value": *b, "pair": &[2]big{},
	}
	return p
}

// TestCopiesAreCharged: expr copies an array whenever it fetches it. The limit of 64
// MiB holds for the copies, too.
func TestCopiesAreCharged(t *testing.T) {
	p := bigProgram()
	for _, line := range fewer(
		"big.Bytes",
		"big?.Bytes",
		"[big][0][\"By\" + \"tes\"]",
		"nested.In.Bytes",
		"nested?.In?.Bytes",
		"bigs[0]",
		"bigs[0].Bytes",
		"bigs[#index]",
		"first(bigs)",
		"last(bigs)",
		"get(bigs, 0)",
		"len(array)",
		"[array][0][1:2]",
		"value.Bytes[1:2]",
		"[array][0] == 1",
		"1 in [bigs][0]",
		"filter(bigs, true)",
		"find(bigs, true)",
		"map(bigs, #)",
		"map(bigs, .Bytes[0])",
		"any([bigs][0], # == 1)",
		"sortBy(bigs, 1)",
		"groupBy(bigs, 1)",
		"reduce(bigs, #)",
		"table.a",
		"table[\"a\"]",
		"values(table)",
		"toPairs(table)",
		"concat(bigs, bigs)",
		"reverse(bigs)",
		"flatten([bigs])",
		"uniq(bigs)",
		"byValue.Len()",
		"big.Take(value)",
		"big.Take(big)",
		"big.Give()",
		"let m = big.Give; m()",
		"big.List(bigs)",
		"[bigs[0]]",
		"{a: bigs[0]}",
		"let x = bigs[0]; 1",
		"string(bigs[0])",
		"toJSON(array)",
		"map(pair, 1)",
	) {
		t.Run(line, func(t *testing.T) {
			twice := fmt.Sprintf("map(1..100, {let i = #; %s})", line)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _, err := evalInTime(t, t.Context(), p.engine(), twice)
			runtime.ReadMemStats(&after)
			used := (after.TotalAlloc - before.TotalAlloc) / mib
			require.ErrorContains(t, err, "memory budget exceeded")
			require.Less(t, used, uint64(4*40), "MiB") // at most one more copy than fits, and its garbage
		})
	}
}

func TestSmallCopiesAreFree(t *testing.T) {
	for line, want := range map[string]any{
		"len(filter(points, .X > 10))":             99_989,
		"count(points, #.Y % 2 == 0)":              50_000,
		"sum(map(points[:10], .X))":                45,
		"count(1..1000, points[#].X == #)":         1000,
		"len(filter(larges, .N >= 1000))":          1000,
		"larges[7].N + larges[8].N":                15,
		"len(points) + len(larges[1:])":            101_999,
		"[points[0], points[1]] == [points[0], 1]": false,
	} {
		result, _, err := evalInTime(t, t.Context(), bigProgram().engine(), line)
		require.NoError(t, err, line)
		require.Equal(t, want, result, line)
	}
}

// TestKeptCopiesAreCharged: what stays in the result costs its size even if it is
// small.
func TestKeptCopiesAreCharged(t *testing.T) {
	p := bigProgram()
	for _, line := range fewer(
		"map(1..20, points)[0] | len() > 0 ? map(1..50, map(points, #)) : 1",
		"map(1..50, filter(points, true))",
		"map(1..50, sortBy(points, .X))",
		"map(1..50, groupBy(points, 1))",
		"map(1..50, map(points, [#, #, #]))",
	) {
		_, _, err := evalInTime(t, t.Context(), p.engine(), line)
		require.ErrorContains(t, err, "memory budget exceeded", line)
	}
}
