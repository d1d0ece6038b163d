package command

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryCommandIsKnownToChangeOrNot: who adds a command has to decide it.
func TestEveryCommandIsKnownToChangeOrNot(t *testing.T) {
	changes := []string{"gc", "freeosmem", "leaks", "stderr", "deactivate", "exit", "quit"}
	known := slices.Concat(readers, shows, changes)
	for _, c := range Completions() {
		require.Equal(t, 1, len(slices.DeleteFunc(slices.Clone(known), func(name string) bool { return name != c.Name })), c.Name)
		require.Equal(t, !slices.Contains(changes, c.Name), ReadOnly([]string{c.Name}), c.Name)
	}
	require.Len(t, known, len(Completions()))
}

func TestLinesThatChangeSomething(t *testing.T) {
	for _, words := range [][]string{
		{"setgc", "100"}, {"maxprocs", "default"}, {"stacks", "-force"}, {"goroutine", "--force=true", "1"}, {"print", "-racy", "x"},
		{"profile", "heap", "-o", "f"}, {"trace", "-o=f"}, {"trace", "---o=f"}, {"sessions", "-end", "1"}, {"flush"}, {"loglevel"}, {},
	} {
		require.False(t, ReadOnly(words), words)
	}
	for _, words := range [][]string{{"stacks", "-n", "0", "force"}, {"profile", "cpu", "-seconds", "1"}, {"proc", "status"}, {"env", "o"}, {"setgc", "-json"}} {
		require.True(t, ReadOnly(words), words)
	}
}
