package oneshot

import (
	"maps"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/commandnames"
)

var (
	flagInHelp = regexp.MustCompile(`(?m)^ *(-[a-z]+)`)
	flagInArgs = regexp.MustCompile(`(?:^|[\[ |])(-[a-z]+)`)
)

// The client completes what the console has.
func TestNamesOfCommandsAreComplete(t *testing.T) {
	var names []string
	for _, cmd := range builtins {
		names = append(names, cmd.Name)
		var flags []string
		for _, found := range slices.Concat(flagInHelp.FindAllStringSubmatch(cmd.Help, -1), flagInArgs.FindAllStringSubmatch(cmd.Args, -1)) {
			flags = append(flags, found[1])
		}
		slices.Sort(flags)
		if cmd.Run != nil && cmd.Args == "" && cmd.Help == "" {
			require.Empty(t, commandnames.Commands[cmd.Name], cmd.Name)
			continue
		}
		for _, flag := range slices.Compact(flags) {
			require.Contains(t, commandnames.Commands[cmd.Name], flag, "a flag of %s", cmd.Name)
		}
		for _, flag := range commandnames.Commands[cmd.Name] {
			if !linuxOnlyNames[cmd.Name] {
				require.Contains(t, flags, flag, "%s has no such flag", cmd.Name)
			}
		}
	}
	require.ElementsMatch(t, names, slices.Collect(maps.Keys(commandnames.Commands)))
}

// linuxOnlyNames are commands whose flags only Linux has.
var linuxOnlyNames = map[string]bool{"fds": true, "threads": true}
