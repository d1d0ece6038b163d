//go:build linux

package main

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/document"
)

// dumpOf returns the dump that a command line prints.
func dumpOf(t *testing.T, args ...string) *document.Stacks {
	t.Helper()
	out, errs, status := client(t, append([]string{os.Args[0]}, args...)...)
	require.Zero(t, status, errs)
	d := new(document.Stacks)
	require.NoError(t, json.Unmarshal([]byte(out), d), out)
	return d
}

// The keys of groups are the same in all processes of a build, from inside and from
// outside, and however paths are shown.
func TestTheKeysOfGroupsAreStable(t *testing.T) {
	first, second := strconv.Itoa(startProgram(t, "parkedinstalled")), strconv.Itoa(startProgram(t, "parkedinstalled"))
	var key, stack string
	for _, args := range [][]string{
		{first, "stacks", "-json"}, {second, "stacks", "-json", "-n", "0"}, {first, "stacks", "-json", "-paths"}, {first, "-json"}, {"-outside", second, "stacks", "-json"},
	} {
		d := dumpOf(t, args...)
		require.NotNil(t, d.Vitals, "%q", args)
		require.Positive(t, d.Process.Start)
		var found []document.Group
		for _, g := range d.Groups {
			if g.Site != nil && strings.HasSuffix(g.Site.Function, ".offer") {
				found = append(found, g)
			}
		}
		require.Len(t, found, 1, "%q", args)
		require.Equal(t, 40, found[0].Count)
		require.Len(t, found[0].Key, 16)
		if key == "" {
			key, stack = found[0].Key, found[0].Stack
			require.NotEqual(t, key, stack, "only one of them depends on the state")
		}
		require.Equal(t, key, found[0].Key, "%q", args)
		require.Equal(t, stack, found[0].Stack, "%q", args)
	}
}
