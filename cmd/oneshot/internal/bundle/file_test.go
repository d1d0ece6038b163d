//go:build unix

package bundle

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNothingIsLeftOfAnEmptyBundle as on a full disk. What was written is kept.
func TestNothingIsLeftOfAnEmptyBundle(t *testing.T) {
	path := t.TempDir() + "/b"
	f, err := Create(path)
	require.NoError(t, err)
	require.FileExists(t, path+Unfinished)
	require.False(t, f.Abandon())
	require.NoFileExists(t, path+Unfinished)

	f, err = Create(path)
	require.NoError(t, err)
	_, err = f.WriteString("x")
	require.NoError(t, err)
	require.True(t, f.Abandon())
	text, err := os.ReadFile(path + Unfinished)
	require.NoError(t, err)
	require.Equal(t, "x", string(text))
}
