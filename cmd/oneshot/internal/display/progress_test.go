//go:build linux

package display

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProgressIsOneLine(t *testing.T) {
	var out bytes.Buffer
	p := Progress{Terminal: &out, Width: func() int { return 20 }}
	p.Clear()
	require.Empty(t, out.String())
	p.Show("1 of 2 s")
	p.Show("\x1b[2J\n" + "2 of 2 s, and too long")
	p.Clear()
	p.Clear()
	require.Equal(t, "\r\x1b[K1 of 2 s\r\x1b[K\\x1b[2J\\n2 of 2 ...\r\x1b[K", out.String())

	var none Progress // not on a terminal
	none.Show("1 of 2 s")
	none.Clear()
}

func TestFitLine(t *testing.T) {
	require.Equal(t, "ab", FitLine("abc", 2))
	require.Equal(t, "abc", FitLine("abc", 3))
	require.Equal(t, "a日", FitLine("a日本", 4))
	require.Empty(t, FitLine("abc", -1))
	require.Equal(t, "abcdef", FitLine("abcdef", 6))
	require.Equal(t, "abc...", FitLine("abcdefg", 6))
	require.Equal(t, "a日...", FitLine("a日本abc", 6))
	require.Equal(t, "日...", FitLine("日本日本", 6))
}

func TestProgressIsLeftOut(t *testing.T) {
	for _, size := range []int{1, 2, 100} {
		var out bytes.Buffer
		w := WithoutProgress(&out)
		text := []byte(">>> a\rb\n>>> >>> \r1 of 2\r2 of 2\nwritten\n\r1 of 2\n>> \r>>> ")
		for len(text) > 0 {
			n, err := w.Write(text[:min(size, len(text))])
			require.NoError(t, err)
			text = text[n:]
		}
		require.Equal(t, ">>> a\rb\n>>> >>> written\n>> \r>>> ", out.String())
	}
}
