//go:build linux && (amd64 || arm64)

package integration

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// foundInsideOnly are the faults for which the help of the program is needed: a search of its
// heap, its heap profile, or the numbers of its collector.
var foundInsideOnly = []string{"channelLeak2", "lostReply", "mapGrows", "mapGrows2", "memoryLimit", "memoryLimit2", "descriptors2"}

// TestFaultsAreFoundFromOutside is TestFaultsAreFoundOnTheFirstScreen for programs that are
// read from outside.
func TestFaultsAreFoundFromOutside(t *testing.T) {
	withoutRace(t)
	names := diagnosed(t, "faults")
	for _, name := range foundInsideOnly {
		require.Contains(t, names, name)
	}
	for _, name := range names {
		if !slices.Contains(foundInsideOnly, name) {
			t.Run(name, func(t *testing.T) {
				if !strings.HasPrefix(name, "spin") { // which needs a CPU for itself
					t.Parallel()
				}
				requireFound(t, (*child).screenFromOutside, name)
			})
		}
	}
}

// TestNothingStandsOutFromOutside is TestNothingStandsOutInHealthyPrograms for programs that
// are read from outside.
func TestNothingStandsOutFromOutside(t *testing.T) {
	withoutRace(t)
	for _, name := range diagnosed(t, "healthy") {
		t.Run(name, func(t *testing.T) { requireNothingStandsOut(t, (*child).screenFromOutside, name) })
	}
}

// screenFromOutside returns the first screen of a program that is read from outside.
func (c *child) screenFromOutside(t *testing.T) string {
	t.Helper()
	out, err := testwait.Command(t, plain(t, "../cmd/oneshot"), "-outside", strconv.Itoa(c.Process.Pid)).Output()
	require.NoError(t, err, "%s", out)
	return string(out)
}
