//go:build linux && race

package integration

import (
	"os"
	"testing"
)

// fewer returns how often a test repeats what it would do n times without the race
// detector. The programs are built without the detector, so more rounds would not show
// it more.
func fewer(n int) int { return n / 5 }

// allUnderRace has the tests run that withoutRace would skip.
const allUnderRace = "ONESHOT_TEST_ALL_UNDER_RACE"

// withoutRace skips a test whose programs do all its work, and take long for it. They are
// built without the detector, so the test shows nothing more with it.
func withoutRace(t *testing.T) {
	t.Helper()
	if os.Getenv(allUnderRace) == "" {
		t.Skip("its programs are built without the race detector; run it without -race, or set " + allUnderRace + "=1")
	}
}
