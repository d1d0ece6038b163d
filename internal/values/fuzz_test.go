package values

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// builder builds a value from the data of a fuzzer.
type builder struct {
	data []byte
	made []any // the values so far; using one again shares it or makes a cycle
}

func (b *builder) next() byte {
	if len(b.data) == 0 {
		return 0
	}
	c := b.data[0]
	b.data = b.data[1:]
	return c
}

func (b *builder) bytes() []byte {
	n := min(int(b.next()), len(b.data))
	s := b.data[:n]
	b.data = b.data[n:]
	return s
}

func (b *builder) value() any {
	if len(b.data) == 0 {
		return nil
	}
	switch b.next() % 19 {
	case 0:
		return string(b.bytes())
	case 1:
		return b.bytes()
	case 2:
		s := make([]any, b.next()%8)
		b.made = append(b.made, s)
		for i := range s {
			s[i] = b.value()
		}
		return s
	case 3:
		m := make(map[any]any)
		b.made = append(b.made, m)
		for range b.next() % 8 {
			m[string(b.bytes())] = b.value()
		}
		return m
	case 4:
		p := new(any)
		b.made = append(b.made, p)
		*p = b.value()
		return p
	case 5:
		if len(b.made) > 0 {
			return b.made[int(b.next())%len(b.made)]
		}
	case 6:
		return State(b.next())
	case 7:
		return Token(b.bytes())
	case 8:
		return Bad{b.value()}
	case 9:
		n := &Node{Name: string(b.bytes())}
		n.Next = n
		return n
	case 10:
		return &Pair{A: b.value(), b: int(b.next())}
	case 11:
		return make([]int, int(b.next())<<8)
	case 12:
		return strings.Repeat(string(b.bytes()), 1000)
	case 13:
		return [3]byte(append(b.bytes(), 1, 2, 3))
	case 14:
		return Clock{at: time.Unix(int64(b.next())<<32, 0), D: time.Duration(b.next())}
	case 15:
		return map[float64]string{float64(b.next()): string(b.bytes())}
	case 16:
		return struct {
			hidden any
			_      int
		}{hidden: b.value()}
	case 17:
		return stringer(b.bytes())
	}
	return int(b.next())
}

type stringer []byte

func (s stringer) String() string { return string(s) }

func FuzzText(f *testing.F) {
	f.Add([]byte(nil), 80)
	f.Add([]byte{2, 3, 5, 0, 4, 5, 1, 6, 9}, 20)
	f.Add([]byte{3, 2, 1, 'a', 5, 0, 1, 'b', 7, 2, 'x', 'y'}, 0)
	f.Add([]byte{8, 8, 10, 4, 0, 3, 0xff, 0xc3, 0xa9, 17, 2, '\n', 0xc3}, 5)
	f.Add([]byte{2, 7, 11, 255, 12, 4, 0xe2, 0x80, 0xae, 'a', 13, 1, 1, 14, 9, 9, 15, 1, 1, 'q', 16, 9, 1, 'z', 18, 4}, -3)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		v := (&builder{data: data}).value()
		text := Text(v)
		require.LessOrEqual(t, len(text), maxTotal)
		require.True(t, strings.HasSuffix(text, "\n"))
		requirePrintable(t, strings.ReplaceAll(text, "\n", ""))

		n %= 1000
		short := Short(v, n)
		require.LessOrEqual(t, len(short), max(n, 0))
		requirePrintable(t, short)
		require.LessOrEqual(t, len(Type(v)), maxType+3)

		var live strings.Builder
		_, err := WriteLive(&live, v)
		require.NoError(t, err)
		require.LessOrEqual(t, live.Len(), maxTotal)
		requirePrintable(t, strings.ReplaceAll(live.String(), "\n", ""))
		short = ShortLive(v, n)
		require.LessOrEqual(t, len(short), max(n, 0))
		requirePrintable(t, short)
		require.LessOrEqual(t, len(Failure(v)), maxFailure+100)
	})
}

func requirePrintable(t *testing.T, s string) {
	t.Helper()
	require.True(t, utf8.ValidString(s), "%q", s)
	for _, r := range s {
		require.False(t, r < ' ' || r == 0x7f || r == 0x202e, "%q in %q", r, s)
	}
}
