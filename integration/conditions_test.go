//go:build linux

package integration

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The conditions of the program itself: whatever it does, the door opens.

func TestEveryGoroutineIsDeadlocked(t *testing.T) {
	c := startIn(t, "deadlocked")
	require.Contains(t, c.session(t, "stacks\n"), "select (no cases)")
}
