//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTextIsMadeVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\tü\n":         "plain\tü\n",
		"\x1b[31m\a\b\r\x7f": `\x1b[31m\x07\x08\x0d\x7f`,
		"\u009b1m":           `\u009b1m`,
		"\xc2\xff":           `\xc2\xff`,
		"a\u202eb\ufeff":     `a\u202eb\ufeff`,
		"\U000e0041":         `\U000e0041`,
		"\ufffd 日本":          "\ufffd 日本",
	} {
		require.Equal(t, want, string(appendVisible(nil, []byte(in))))
	}
}

// A character or a prompt may come in parts, and a line may never end.
func TestTextThatComesInParts(t *testing.T) {
	var s sessionText
	var shown []byte
	for _, b := range []byte("日本\xff語") {
		s.add([]byte{b})
		shown = s.take(shown, false)
	}
	require.Equal(t, `日本\xff語`, string(shown))

	s, shown = sessionText{}, nil
	total, largest := 0, 0
	for range 1000 {
		for p := []byte(strings.Repeat("ü", 16<<10)); len(p) > 0; {
			var full bool
			if p, full = s.add(p); full {
				total += len(s.take(nil, false))
			}
			largest = max(largest, cap(s.line))
		}
	}
	total += len(s.take(nil, true))
	require.Equal(t, 1000*32<<10, total)
	require.Less(t, largest, 64<<10)

	s = sessionText{}
	s.add([]byte(">>"))
	require.True(t, s.mayBePrompt())
	require.False(t, s.prompted())
	s.add([]byte("> "))
	require.True(t, s.prompted())
	s.begun = true
	require.False(t, s.prompted(), "it stands within a line")
	s.begun = false
	s.add([]byte("x"))
	require.False(t, s.prompted())
	require.False(t, s.cutPrompt(true))
	require.True(t, s.cutPrompt(false))
	require.Equal(t, "x", string(s.line))
}

func TestKeysThatTheEditorCanBear(t *testing.T) {
	for in, want := range map[string]string{
		"aü\t\r":                                "aü\t\r",
		"\x1b[A\x1bOB":                          "\x1b[A\x1b[B",
		"\x1b[1~\x1b[8~\x1b[1;5C\x1bb":          "\x1b[H\x1b[F\x1b[1;3C\x1b[1;3D",
		"\x1b[200~a\x1b[201~":                   "a",
		"\x1b[?1;2c\x1b[12;40Rx":                "x",
		"\x1b\x1b[Dx":                           "\x1b[Dx",
		"\x1b\r":                                "\r",
		"\x1b[" + strings.Repeat("1", 99) + "x": strings.Repeat("1", 99-maxSequence) + "x",
		"\xff\xc3(\xe6\x97x\ufffd\xc3\r":        "(x\r",
	} {
		var f keyFilter
		got := ""
		for _, b := range []byte(in) {
			got += f.add(b)
		}
		require.Equal(t, want, got, "%q", in)
	}
}

func FuzzKeyFilter(f *testing.F) {
	f.Add([]byte("a\x1b[A\xc3\xbc\x1bO"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var k keyFilter
		var out strings.Builder
		for _, b := range in {
			out.WriteString(k.add(b))
			require.LessOrEqual(t, len(k.sequence), maxSequence+2)
			require.Less(t, len(k.char), 4)
		}
		require.Equal(t, strings.ToValidUTF8(out.String(), "?"), out.String())
		require.NotContains(t, out.String(), "\ufffd")
	})
}

func FuzzTextIsMadeVisible(f *testing.F) {
	f.Add([]byte("a\x1b[2J\xc2\x9b\n>>> "))
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, r := range string(appendVisible(nil, in)) {
			require.True(t, r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) || r == '\n' || r == '\t')
		}
	})
}
