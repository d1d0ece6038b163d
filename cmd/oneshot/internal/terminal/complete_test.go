//go:build linux

package terminal

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
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
		got, pos, _ := complete(before+after, len(before), candidates)
		require.LessOrEqual(t, pos, len(got))
		shown := got[:pos] + "|" + got[pos:]
		if strings.HasSuffix(want, "| 30") { // complete does not add a second space
			want = strings.Replace(want, "| 30", "|30", 1)
		}
		require.Equal(t, want, shown, line)
	}
	_, _, words := complete("profile ", 8, candidates)
	require.Equal(t, []string{"allocs", "block", "cpu", "goroutine", "heap", "mutex", "threadcreate"}, words)

	for _, test := range []struct {
		line, want string
		words      []string
		listed     bool
	}{
		{"proc ne", "proc net/", []string{"net/"}, false},
		{"stacks -state chan", "stacks -state 'chan receive' ", []string{"'chan receive'"}, false},
		{"stacks -state chan", "stacks -state chan", []string{"'chan receive'", "chanrecv"}, true},
		{"stacks -state 'ch", "stacks -state 'chan ", []string{"'chan receive'", "'chan send'"}, true},
		{"print ", "print ", []string{"\u00e9a", "\u00e8a"}, true},
		{"print c", "print c", []string{"cache", "cache2", protocol.MoreWords}, true},
	} {
		got, pos, words := complete(test.line, len(test.line), func(string, string) []string { return test.words })
		require.Equal(t, test.want, got)
		require.Equal(t, len(got), pos)
		require.Equal(t, test.listed, words != nil, test.line)
	}
	require.Equal(t, "aa  bb\ncc\n", wrapWords([]string{"aa", "bb", "cc"}, 7))
}
