//go:build linux

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWordsInTheWrongOrder(t *testing.T) {
	for _, test := range []struct {
		words []string
		says  string
	}{
		{[]string{"stacks", "123"}, "the process comes first: oneshot 123 stacks"},
		{[]string{"stacks", "-n", "5", "123"}, "the process comes first: oneshot 123 stacks -n 5"},
		{[]string{"print", "a b", "/tmp/manhole-7"}, "the process comes first: oneshot /tmp/manhole-7 print 'a b'"},
		{[]string{"goroutine", "18"}, "goroutine is a command for a process, which comes first: oneshot PID goroutine 18"},
		{[]string{"setgc", "50"}, "oneshot PID setgc 50"},
		{[]string{"profile", "heap", "123"}, "the process comes first: oneshot 123 profile heap"},
		{[]string{"stacks"}, "stacks is a command for a process, which comes first: oneshot PID stacks"},
		{[]string{"profile", "heap"}, "oneshot PID profile heap"},
		{[]string{"123", "-n"}, "flags go before the process: oneshot -n 123; flags of a command go behind the command: oneshot 123 stacks -n"},
		{[]string{"123", "-t", "9"}, "flags go before the process: oneshot -t 9 123"},
		{[]string{"123", "-full"}, "oneshot 123 stacks -full"},
		{[]string{"123", "stacks", "-n", "5"}, ""},
		{[]string{"123"}, ""},
		{[]string{"/tmp/stacks"}, ""},
	} {
		err := checkOrder(test.words)
		if test.says == "" {
			require.NoError(t, err, "%q", test.words)
			continue
		}
		require.ErrorContains(t, err, test.says)
		require.ErrorAs(t, err, new(usageError))
	}
}
