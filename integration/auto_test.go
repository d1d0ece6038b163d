//go:build linux

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestImportOfPackageAuto is about a program that has a manhole because of the one
// line of code in README, the import.
func TestImportOfPackageAuto(t *testing.T) {
	program := filepath.Join(t.TempDir(), "app")
	require.NoError(t, build(program, "../examples/auto"))

	cmd := exec.Command("sh", "-c", `ONESHOT='oneshot_on="USR2"' exec "$0"`, program)
	c := start(t, cmd, "counts")
	for range 2 {
		require.Contains(t, c.session(t, "exit\n"), "main.main")
		_, err := os.Lstat(c.path)
		require.ErrorIs(t, err, os.ErrNotExist)
	}

	// Without the variable there is no manhole, and the signal does nothing.
	cmd = exec.Command(program)
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "ONESHOT=") {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	c = start(t, cmd, "counts")
	c.signal(t, usr2)
	c.signal(t, syscall.SIGTERM)
	require.Equal(t, syscall.SIGTERM, c.AwaitEnd(t).Signal())
	require.NotContains(t, c.stderr.String(), "oneshot")
}
