package protocol

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheCostIsReadBack(t *testing.T) {
	text := FormatCost(3, 20*time.Microsecond, time.Second)
	require.Equal(t, "3 20000 1000000000", text)
	count, longest, total, err := ParseCost(text)
	require.NoError(t, err)
	require.Equal(t, uint64(3), count)
	require.Equal(t, 20*time.Microsecond, longest)
	require.Equal(t, time.Second, total)
	for _, text := range []string{"", "1", "1 2", "1 2 3 4", "1 2 -3", "1 2 x", "1 2 9223372036854775808"} {
		_, _, _, err := ParseCost(text)
		require.Error(t, err, text)
	}
}
