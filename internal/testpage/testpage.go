// Package testpage keeps the generated parts of the pages in docs up to date. Only tests
// use it.
package testpage

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The lines around the generated part of a page.
const (
	begin = "<!-- generated: begin -->\n"
	end   = "<!-- generated: end -->\n"
)

// updateEnv is the variable with which a test writes the page.
const updateEnv = "ONESHOT_UPDATE_DOCS"

// Require requires that the generated part of a page is text. With ONESHOT_UPDATE_DOCS=1
// in the environment, it writes the page instead.
func Require(t *testing.T, page, text string) {
	t.Helper()
	old, err := os.ReadFile(page)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(old), begin)
	require.True(t, ok, "%s has no line %q", page, begin)
	was, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "%s has no line %q", page, end)
	if was == text {
		return
	}
	if os.Getenv(updateEnv) == "" {
		require.FailNowf(t, page+" is not up to date", "run this test with %s=1; the first line that differs is\n%s", updateEnv, firstDifference(text, was))
	}
	require.NoError(t, os.WriteFile(page, []byte(before+begin+text+end+after), 0o644))
}

// firstDifference returns the first line of text that is not the same in was.
func firstDifference(text, was string) string {
	old := strings.Split(was, "\n")
	for i, line := range strings.Split(text, "\n") {
		if i >= len(old) || old[i] != line {
			return line
		}
	}
	return "(the page has lines at its end that are too many)"
}
