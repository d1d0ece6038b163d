//go:build linux || darwin || freebsd

package command

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// startLooking returns a session with the commands of lookCommands.
func startLooking(t *testing.T) client {
	t.Helper()
	c := newClient(t)
	return c
}

func TestEnvShowsTheCurrentEnvironment(t *testing.T) {
	c := startLooking(t)
	require.Equal(t, "env: ONESHOT_TEST_A is not set; env without a name lists all variables\n", c.do("env ONESHOT_TEST_A"))
	t.Setenv("ONESHOT_TEST_A", "one=1 two")
	t.Setenv("ONESHOT_TEST_B", "\x1b[2J\n")
	t.Setenv("ONESHOT_TEST_C", strings.Repeat("x", 5000))
	t.Setenv("ONESHOT_TEST_D", "")
	require.Equal(t, "one=1 two\n", c.do("env ONESHOT_TEST_A"))
	require.Equal(t, `"\x1b[2J\n"`+"\n", c.do("env ONESHOT_TEST_B"))
	require.Equal(t, strings.Repeat("x", 5000)+"\n", c.do("env ONESHOT_TEST_C"))
	require.Equal(t, "\n", c.do("env ONESHOT_TEST_D"))

	out := c.do("env")
	require.Contains(t, out, "ONESHOT_TEST_A=one=1 two\nONESHOT_TEST_B=\"\\x1b[2J\\n\"\nONESHOT_TEST_C=xxx", "sorted")
	require.Contains(t, out, "xxx...\n  (5000 bytes; in full: env ONESHOT_TEST_C)\nONESHOT_TEST_D=\n")
	require.Equal(t, "env: one name at a time, not 2: env A\n", c.do("env A B"))
}

func TestEntriesOfTheEnvironment(t *testing.T) {
	for entry, want := range map[string][2]string{
		"A=b":       {"A", "b"},
		"A=b=c":     {"A", "b=c"},
		"A=":        {"A", ""},
		`=C:=C:\go`: {"=C:", `C:\go`},
		"A":         {"A", ""},
		"":          {"", ""},
	} {
		name, value := cutEntry(entry)
		require.Equal(t, want, [2]string{name, value}, entry)
	}
}
