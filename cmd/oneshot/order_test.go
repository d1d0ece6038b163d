//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
		{[]string{"123", "-full"}, "flags of a command go behind the command: oneshot 123 stacks -full"},
		{[]string{"123", "-json", "-n", "3"}, "flags of a command go behind the command: oneshot 123 stacks -json -n 3"},
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
		if strings.HasPrefix(test.says, "flags of a command") {
			require.Equal(t, test.says, err.Error())
		}
		require.ErrorAs(t, err, new(usageError))
	}
}

// TestMoreThanOneErrorIsMoreThanOneLine and each begins with the name of the client.
func TestMoreThanOneErrorIsMoreThanOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a\nb"), filepath.Join(dir, "c")
	for _, name := range []string{a, b} {
		require.NoError(t, os.WriteFile(name, []byte("{}"), 0o600))
	}
	_, errs, status := client(t, os.Args[0], "diff", a, b)
	require.Equal(t, statusFailed, status)
	lines := strings.Split(strings.TrimSuffix(errs, "\n"), "\n")
	require.Len(t, lines, 2, errs)
	require.True(t, strings.HasPrefix(lines[0], "oneshot: diff: "+dir+`/a\nb: `), lines[0])
	require.True(t, strings.HasPrefix(lines[1], "oneshot: diff: "+b+": "), lines[1])

	require.Len(t, split(fmt.Errorf("%w and %w", io.EOF, io.EOF)), 1)
	_, errs, _ = client(t, os.Args[0], "clean", filepath.Join(dir, "gone"))
	require.Contains(t, errs, "clean: open "+dir+"/gone: no such file or directory; without a name, it cleans /tmp")
	_, errs, _ = client(t, os.Args[0], "core", filepath.Join(dir, "gone"))
	require.Contains(t, errs, "no such file or directory; give a core file")
}
