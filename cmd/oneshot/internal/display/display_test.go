//go:build linux

package display

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"plain\tü\n":         "plain\tü\n",
		"\x1b[31m\a\b\r\x7f": `\x1b[31m\x07\x08\x0d\x7f`,
		"\u009b1m":           `\u009b1m`,
		"\xc2\xff":           `\xc2\xff`,
		"a\u202eb\ufeff":     `a\u202eb\ufeff`,
		"\U000e0041":         `\U000e0041`,
		"\ufffd 日本":          "\ufffd 日本",
	} {
		require.Equal(t, want, Escape(in))
	}
}

func TestEscapeLineHasOneLine(t *testing.T) {
	require.Equal(t, `a\n	\x1bb`, EscapeLine("a\n\t\x1bb"))
}

func TestCell(t *testing.T) {
	require.Equal(t, `a\tb\n`, Cell("a\tb\n"))
	require.Equal(t, strings.Repeat("ü", 160), Cell(strings.Repeat("ü", 160)))
	require.Equal(t, strings.Repeat("ü", 157)+"...", Cell(strings.Repeat("ü", 161)))
}

func TestCount(t *testing.T) {
	require.Equal(t, "0 threads", Count(0, "thread", "threads"))
	require.Equal(t, "1 thread", Count(1, "thread", "threads"))
}

func FuzzAppendEscaped(f *testing.F) {
	f.Add([]byte("a\x1b[2J\xc2\x9b\n>>> "))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, r := range string(AppendEscaped(nil, in)) {
			require.True(t, r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) || r == '\n' || r == '\t')
		}
	})
}
