//go:build linux

package terminal

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{ // | marks the cursor
		"":                   "|",
		"stac|":              "stacks |",
		"st|":                "st|",
		"setg|":              "setgc |",
		"mem|":               "mem|", // memlimit too
		"meml|":              "memlimit |",
		"nosuch|":            "nosuch|",
		"help thr|":          "help threads |",
		"profile c|":         "profile cpu |",
		"profile -s|":        "profile -seconds |",
		"profile cpu -s| 30": "profile cpu -seconds | 30",
		"profile cpu h|":     "profile cpu h|",
		"stacks -f|":         "stacks -f|",
		"stacks -fu|":        "stacks -full |",
		"stacks -fu|x":       "stacks -fu|x",
		"g -f|":              "g -f|",
		"  thr|":             "  threads |",
		"stderr o|":          "stderr o|",
		"profile ü c|":       "profile ü c|",
	} {
		if !strings.Contains(line, "|") {
			line += "|"
		}
		before, after, _ := strings.Cut(line, "|")
		got, pos, _ := complete(before+after, len(before))
		require.LessOrEqual(t, pos, len(got))
		shown := got[:pos] + "|" + got[pos:]
		if strings.HasSuffix(want, "| 30") { // complete does not add a second space
			want = strings.Replace(want, "| 30", "|30", 1)
		}
		require.Equal(t, want, shown, line)
	}
	_, _, words := complete("profile ", 8)
	require.Equal(t, []string{"allocs", "block", "cpu", "goroutine", "heap", "mutex", "threadcreate"}, words)
	require.Equal(t, "aa  bb\ncc\n", wrapWords([]string{"aa", "bb", "cc"}, 7))
}
