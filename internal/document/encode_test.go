package document

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// everything has each kind of field that a document may have.
type everything struct {
	Head
	Text    string             `json:"text"`
	Int     int                `json:"int"`
	Int32   int32              `json:"int32"`
	Uint    uint64             `json:"uint"`
	Float   float64            `json:"float"`
	Small   float64            `json:"small"`
	Large   float64            `json:"large"`
	Yes     bool               `json:"yes"`
	List    []string           `json:"list"`
	None    []string           `json:"none"`
	Omitted []string           `json:"omitted,omitempty"`
	Zero    int                `json:"zero,omitempty"`
	Nothing *Frame             `json:"nothing"`
	Left    *Frame             `json:"left,omitempty"`
	Pointer *Frame             `json:"pointer"`
	Frames  []Frame            `json:"frames"`
	Counts  map[string]int     `json:"counts"`
	Empty   map[string]float64 `json:"empty"`
	Hidden  string             `json:"-"`
	Private int
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	var b strings.Builder
	require.NoError(t, Write(context.Background(), &b, v))
	return b.String()
}

func TestWriteAgreesWithEncodingJSON(t *testing.T) {
	v := everything{
		Head: Of("test"), Text: "a \"quoted\" \\ line\nand\ttab, caf\u00e9", Int: -5, Int32: 7, Uint: math.MaxUint64, Float: 1.25, Small: 1.5e-9, Large: 3e22, Yes: true,
		List: []string{"x", ""}, None: []string{}, Pointer: &Frame{"main.main", "main.go", 3}, Frames: []Frame{{Function: "f"}, {Line: 1}},
		Counts: map[string]int{"b": 2, "a": 1}, Empty: map[string]float64{}, Hidden: "no", Private: 1,
	}
	want, err := json.Marshal(v)
	require.NoError(t, err)
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, []byte(encoded(t, v))))
	require.JSONEq(t, strings.Replace(string(want), `,"Private":1`, "", 1), compact.String())
	require.Contains(t, compact.String(), `"uint":18446744073709551615,"float":1.25,"small":1.5e-09,"large":3e+22`)
	var back everything
	require.NoError(t, json.Unmarshal(compact.Bytes(), &back))
	v.Hidden, v.Private = "", 0
	require.Equal(t, v, back)
	require.Contains(t, encoded(t, everything{Float: math.NaN(), Small: math.Inf(1)}), "\"float\":null,\n\"small\":null,\n")
}

// The fields of a document, and the elements of its lists, are lines that grep can find.
func TestALineForEachElement(t *testing.T) {
	require.Equal(t, "{\n\"schema\":\"oneshot/x\",\n\"version\":1,\n\"lines\":[\n\"a\",\n\"b\"\n]\n}\n", encoded(t, Lines{Of("x"), []string{"a", "b"}}))
	require.Equal(t, "{\n\"schema\":\"oneshot/x\",\n\"version\":1,\n\"lines\":[]\n}\n", encoded(t, Lines{Head: Of("x")}))
}

func TestALongListIsStreamed(t *testing.T) {
	yielded := 0
	g := &Goroutines{Stream: func(yield func(any) bool) {
		for range 100_000 {
			if yielded++; !yield(Group{State: "select"}) {
				return
			}
		}
	}}
	full := errors.New("full")
	largest := 0
	err := Write(context.Background(), writerFunc(func(p []byte) (int, error) {
		largest = max(largest, len(p))
		if yielded > 1000 {
			return 0, full
		}
		return len(p), nil
	}), g)
	require.ErrorIs(t, err, full)
	require.Less(t, yielded, 2000, "it stops at the first error")
	require.Less(t, largest, 2*flushAt)

	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(full)
	require.ErrorIs(t, Write(ctx, writerFunc(func(p []byte) (int, error) { return len(p), nil }), g), full)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestStringsAreSafe(t *testing.T) {
	for text, want := range map[string]string{
		"\x1b[2J": `"\u001b[2J"`, "\u009b": `"\u009b"`, "\u202e": `"\u202e"`, "\x7f": `"\u007f"`,
		"a\xffb": `"a\\xffb"`, "\U000e0001": `"\udb40\udc01"`, "日本 😀": `"日本 😀"`,
	} {
		require.Equal(t, want, string(appendString(nil, text)))
	}
}

func FuzzStrings(f *testing.F) {
	for _, seed := range []string{"", "plain", "\x1b\x00\xff", "\u2028\U000e0001", `\"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := appendString(nil, s)
		for _, r := range string(out) {
			require.True(t, unicode.IsPrint(r) && utf8.ValidRune(r), "%q", out)
		}
		var back string
		require.NoError(t, json.Unmarshal(out, &back))
		if utf8.ValidString(s) {
			require.Equal(t, s, back)
		}
	})
}
