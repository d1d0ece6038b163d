package protocol

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheSuffixOfATemporaryName(t *testing.T) {
	for _, n := range []uint32{0, 1, 0xabcdef, 0xffffff, 1<<32 - 1} {
		require.True(t, IsTempSuffix(TempSuffix(n)), TempSuffix(n))
	}
	for _, s := range []string{"", ".", ".00000", ".0000000", "x000000", ".00000g", ".ABCDEF"} {
		require.False(t, IsTempSuffix(s), s)
	}
}
