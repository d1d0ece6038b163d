//go:build linux

package main

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSignals(t *testing.T) {
	out, _ := call(t, "signals", "USR1")
	require.Equal(t, "0x0000000000000200, in decimal 512: 1 signal\n  SIGUSR1(10)\n", out)
	out, _ = call(t, "signals", "USR1", "0x200")
	require.Contains(t, out, "the same in both, 0x0000000000000200\n")
}

func TestSignalsUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"1", "2", "3"}, {"x"}, {"0x"}, {"0x10000000000000000"}, {"USR3"}, {""}, {"-x"}} {
		var usage usageError
		require.ErrorAs(t, runSignals(args, io.Discard, io.Discard), &usage, args)
		require.True(t, strings.HasPrefix(usage.text, "signals: "), usage.text)
	}
	out, _ := call(t, "signals", "-h")
	require.Equal(t, signalsHelp, out)
}
