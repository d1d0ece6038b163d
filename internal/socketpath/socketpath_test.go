//go:build linux || darwin || freebsd

package socketpath

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestAFolderOfAnotherUser requires a warning if the owner of the folder, or somebody who
// may replace the folder, could put another socket at the path.
func TestAFolderOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a folder away")
	}
	parent := testwait.TempDir(t)
	dir := filepath.Join(parent, "d")
	require.NoError(t, os.Mkdir(dir, 0o755))
	link := filepath.Join(testwait.TempDir(t), "link")
	require.NoError(t, os.Symlink(dir, link))
	require.Empty(t, InsecureReason(link+"/s"))
	require.NoError(t, os.Lchown(dir, 54321, 54321))
	require.Equal(t, dir+" belongs to another user; chown it or set SocketPath", InsecureReason(link+"/s"))
	require.NoError(t, os.Lchown(dir, 0, 0))
	require.NoError(t, os.Lchown(parent, 54321, 54321))
	require.Equal(t, parent+" belongs to another user; chown it or set SocketPath", InsecureReason(dir+"/s"))
	require.NoError(t, os.Lchown(parent, 0, 0))
	require.NoError(t, os.Chmod(parent, 0o775))
	require.Contains(t, InsecureReason(dir+"/s"), "chmod g-w "+parent)
}
