package clientio

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInputTypedAheadIsBounded(t *testing.T) {
	in := NewInput(func() bool { return true }, func() {}, func() {})
	fed := 0
	for in.wantsMore() && fed < 10*maxAheadBytes {
		in.Take(bytes.Repeat([]byte("a\n"), 1024))
		fed += 2048
	}
	require.Less(t, fed, 10*maxAheadBytes)
	in.Take(bytes.Repeat([]byte("b"), 10*MaxLine))
	require.LessOrEqual(t, cap(in.partial), 20*MaxLine)
	require.Empty(t, in.partial)
}
