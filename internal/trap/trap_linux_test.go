//go:build amd64 || arm64

package trap

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAHandlerThatHangsIsNotWaitedForLong checks that Disarm gives up on a handler
// that does not return. It may be in unlink(2) on a file system that hangs.
func TestAHandlerThatHangsIsNotWaitedForLong(t *testing.T) {
	trap := New([]syscall.Signal{syscall.SIGHUP})
	require.NotNil(t, trap)
	defer trap.Release()
	require.True(t, trap.Arm(1, "/nowhere", "/nowhere.tmp"))
	require.True(t, trap.Disarm())

	require.True(t, trap.Arm(1, "/nowhere", "/nowhere.tmp"))
	theTrap.busy.Add(1) // as at the start of a handler
	began := time.Now()
	require.False(t, trap.Disarm())
	require.False(t, trap.Arm(1, "/other", "/other.tmp"), "the handler may be using the paths")
	require.Less(t, time.Since(began), 10*time.Second)

	theTrap.busy.Add(-1)
	require.True(t, trap.Arm(1, "/other", "/other.tmp"))
	require.True(t, trap.Disarm())
}
