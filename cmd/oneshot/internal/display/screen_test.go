//go:build linux

package display

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestScreenJoinsPartsOfCharacters cuts the text at every place. The output must be the
// same.
func TestScreenJoinsPartsOfCharacters(t *testing.T) {
	text := []byte("gr\u00fc\u00df \u65e5\u672c \U0001f600 \x1b]0;TITLE\x07 \xe6\x97 \u202e\xf0\x9f\x98")
	want := Escape(string(text))
	for i := range text {
		for j := i; j <= len(text); j++ {
			var out bytes.Buffer
			s := NewScreen(&out)
			for _, part := range [][]byte{text[:i], text[i:j], text[j:]} {
				n, err := s.Write(part)
				require.NoError(t, err)
				require.Equal(t, len(part), n)
			}
			require.NoError(t, s.Flush())
			require.Equal(t, want, out.String(), "cut at %d and %d", i, j)
		}
	}
}

func TestScreenShowsACharacterAtOnce(t *testing.T) {
	var out bytes.Buffer
	s := NewScreen(&out)
	_, err := s.Write([]byte("a\u00fc\xe6\x97"))
	require.NoError(t, err)
	require.Equal(t, "a\u00fc", out.String(), "only the incomplete character waits")
}

func TestScreenRefusesBinary(t *testing.T) {
	var out bytes.Buffer
	_, err := TextOnly(NewScreen(&out)).Write([]byte("\x1f\x8b\x08\x00"))
	require.ErrorIs(t, err, ErrBinary)
	require.Empty(t, out.String())
}
