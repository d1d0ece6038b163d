package protocol

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func build(kind byte, payload string) string {
	b := make([]byte, HeaderSize)
	PutHeader(b, kind, len(payload))
	return string(b) + payload
}

func TestFramesAreReadBack(t *testing.T) {
	all := []struct {
		kind    byte
		payload string
	}{{Output, "some\x00bytes\xff"}, {Output, ""}, {Error, "it failed"}, {Base, "a profile"}, {Progress, "1 of 2"}, {Output, strings.Repeat("x", MaxPayload)}, {End, "1"}}
	var text string
	for _, f := range all {
		text += build(f.kind, f.payload)
	}
	require.Equal(t, "\x01\x00\x00\x00\x00\x00\x00\x0bsome\x00bytes\xff", text[:HeaderSize+11])
	r := NewReader(reluctant{strings.NewReader(text)})
	for _, f := range all {
		kind, payload, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, f.kind, kind)
		require.True(t, f.payload == string(payload))
	}
	_, _, err := r.Next()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// reluctant returns fewer bytes than it is asked for.
type reluctant struct{ r io.Reader }

func (o reluctant) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 5000)]) }

func TestBytesThatAreNotAFrame(t *testing.T) {
	for _, text := range []string{
		"server, pid 5638, github.com/gomanhole",
		"\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x07\x00\x00\x00\x00\x00\x00\x00",
		"\x01\x00\x01\x00\x00\x00\x00\x00",
		"\x01\x00\x00\x00\xff\xff\xff\xff",
		"\x01\x00\x00\x00\x00\x10\x00\x01",
	} {
		_, _, err := NewReader(strings.NewReader(text)).Next()
		require.ErrorContains(t, err, "not a frame")
	}
	for _, text := range []string{"", "\x01", "\x01\x00\x00\x00\x00\x00\x00\x02x"} {
		_, _, err := NewReader(strings.NewReader(text)).Next()
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

func TestWishesAreInTheNameOfTheSocket(t *testing.T) {
	for _, w := range []Wishes{{}, {Text: true}, {Progress: true}, {Text: true, Progress: true}, {More: true}, {Text: true, Progress: true, More: true}, {Cost: true}, {Text: true, Progress: true, More: true, Cost: true}} {
		got, ok := ParseName(w.Prefix() + "4711.text.progress.")
		require.True(t, ok)
		require.Equal(t, w, got)
	}
	for _, name := range []string{"", "x", "oneshot-exec", "x" + SocketPrefix} {
		_, ok := ParseName(name)
		require.False(t, ok, name)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(build(Output, "abc") + build(End, "0")))
	f.Add([]byte("\x01\x00\x00\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := NewReader(bytes.NewReader(text))
		var back []byte
		for {
			kind, payload, err := r.Next()
			if err != nil {
				break
			}
			back = append(back, build(kind, string(payload))...)
		}
		require.True(t, bytes.HasPrefix(text, back))
	})
}
