//go:build linux

package terminal

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A character or a prompt may arrive in pieces, and a line may never end.
func TestTextInPieces(t *testing.T) {
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
	require.False(t, s.isPrompt())
	s.add([]byte("> "))
	require.True(t, s.isPrompt())
	s.begun = true
	require.False(t, s.isPrompt(), "it is in the middle of a line")
	s.begun = false
	s.add([]byte("x"))
	require.False(t, s.isPrompt())
	require.False(t, s.cutPrompt(true))
	require.True(t, s.cutPrompt(false))
	require.Equal(t, "x", string(s.line))
}

func TestKeyFilter(t *testing.T) {
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

func TestProgressIsOneLineOnTheScreen(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("profile cpu -o x\r")
	s.gets("profile cpu -o x\n")
	s.says("\rcpu profile: 1 of 30 s")
	p.sees(">>> profile cpu -o x\ncpu profile: 1 of 30 s\n")
	s.says("\rcpu profile: 2 of 30 s\x1b[2J")
	p.sees(">>> profile cpu -o x\ncpu profile: 2 of 30 s\\x1b[2J\n")
	p.types("mem")
	p.sees("2 of 30 s\\x1b[2J\nmem")
	s.says("\rcpu profile: 3 of 30 s")
	p.sees(">>> profile cpu -o x\ncpu profile: 3 of 30 s\nmem")
	p.types("\r")
	s.gets("mem\n")
	s.says("\r" + strings.Repeat("4", 200)) // it does not get a second row
	p.sees("3 of 30 s\nmem\n" + strings.Repeat("4", 76) + "...\n")
	s.says("\r5 of 30 s \rdone\nwritten\n>>> ")
	p.sees("3 of 30 s\nmem\ndone\nwritten\n>>> mem\n")
	s.says("heap\n\r\n\rx\n>>> ")
	p.sees(">>> mem\nheap\n\\x0d\nx\n>>> ")
}
