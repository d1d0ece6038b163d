//go:build linux

package display

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestALineIsBrokenBetweenWords(t *testing.T) {
	word := strings.Repeat("w", 50)
	for _, test := range []struct{ line, want string }{
		{"one two three four five", "one two three four\n  five"},
		{"one two three four", "one two three four"},
		{"  one two three four  five", "  one two three four\n    five"},
		{"    main.function  dir/file.go:12", "    main.function\n      dir/file.go:12"},
		{"one two three four five six seven eight nine ten", "one two three four\n  five six seven\n  eight nine ten"},
		{word, word},
		{"a " + word + " b", "a\n  " + word + "\n  b"},
		{"    " + word, "    " + word},
		{"three \u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc", "three \u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc\u00fc"},
		{"a tab\tis as wide as the terminal likes", "a tab\tis as wide as the terminal likes"},
		{strings.Repeat(" ", 15) + "far away from the left", strings.Repeat(" ", 15) + "far away from the left"},
		{"", ""},
	} {
		require.Equal(t, test.want, string(AppendWrapped(nil, []byte(test.line), 20)))
	}
	require.Equal(t, "one two three four five", string(AppendWrapped(nil, []byte("one two three four five"), 19)), "too narrow")
}

func FuzzAppendWrapped(f *testing.F) {
	f.Add("  one two  three four \u00fc", 20)
	f.Fuzz(func(t *testing.T, line string, width int) {
		out := string(AppendWrapped(nil, []byte(line), width%200))
		without := func(s string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(s) }
		require.Equal(t, without(line), without(out), "nothing but space is lost")
		if width%200 < minWidth || strings.ContainsAny(line, "\t\n") {
			return
		}
		for part := range strings.SplitSeq(out, "\n") {
			if words := strings.FieldsFunc(part, func(r rune) bool { return r == ' ' }); utf8.RuneCountInString(part) > width%200 && len(line)-len(strings.TrimLeft(line, " ")) <= width%200/2 {
				require.LessOrEqual(t, len(words), 1, "%q has room for fewer words", part)
			}
		}
	})
}
