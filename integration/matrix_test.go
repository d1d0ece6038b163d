//go:build linux

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestMatrix tries to enter each program of places as each of the visitors. Either the
// client enters, or its error names one command, and that enters. docs/deploy.md has the
// results.
func TestMatrix(t *testing.T) {
	t.Parallel()
	needRoot(t)
	need(t, "nsenter", "util-linux")
	dir := matrixFolder(t)
	var mu sync.Mutex
	results := make(map[string]string) // the lines of the table; those of skipped places are empty
	t.Run("places", func(t *testing.T) {
		for _, p := range places {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.buildable(t)
				c := p.start(t, dir)
				cells := make([]string, 0, len(visitors))
				for _, v := range visitors {
					cells = append(cells, c.enteredBy(t, p, v, dir))
				}
				mu.Lock()
				defer mu.Unlock()
				results[p.name] = "| " + p.name + " | " + strings.Join(cells, " | ") + " |"
			})
		}
	})
	text, err := os.ReadFile("../docs/deploy.md")
	require.NoError(t, err)
	require.Equal(t, 1+len(places), strings.Count(string(text), "\n| "), "a heading, and one line for each place")
	for _, p := range places {
		if row := results[p.name]; !strings.Contains(string(text), "\n"+row+"\n") {
			t.Errorf("docs/deploy.md does not have this line:\n%s", row)
		}
	}
}

// enteredBy enters the program as the visitor, and returns the cell of the table: how he
// entered.
func (c *child) enteredBy(t *testing.T, p place, v visitor, dir string) string {
	t.Helper()
	pid := c.Process.Pid
	seen := strconv.Itoa(v.pid(t, pid))
	where := p.name + ", " + v.name
	out, errs, status := v.run(t, p, pid, dir, "oneshot", seen, "mem")
	if status == 0 {
		require.Contains(t, out, "heap in use", where)
		require.Empty(t, errs, where)
		return "enters"
	}
	require.Empty(t, out, where)
	words := commandOf(t, errs)
	cell := "`" + strings.Join(named(words, seen), " ") + "`"
	switch words[0] {
	case "sudo": // the test need not know a password
		v, words = visitorNamed("host root"), words[1:]
	case "kubectl": // there is no cluster, but there is such a container
		require.Contains(t, words, "--profile=general", "it gives CAP_SYS_PTRACE")
		v, words = visitorNamed("ephemeral, SYS_PTRACE"), words[len(words)-2:]
		cell = "`kubectl debug --profile=general`"
	}
	out, errs, status = v.run(t, p, pid, dir, append(words, "mem")...)
	require.Zero(t, status, "%s: %q does not help: %s", where, words, errs)
	require.Contains(t, out, "heap in use", "%s: %q", where, words)
	return cell
}

// named returns a command with PID in place of the pid.
func named(words []string, pid string) []string {
	words = slices.Clone(words)
	for n, word := range words {
		if word == pid && (n == len(words)-1 || words[n-1] == "--target") {
			words[n] = "PID"
		}
	}
	return words
}

// commandOf returns the command that an error of the client names. It is the only one.
func commandOf(t *testing.T, stderr string) []string {
	t.Helper()
	_, command, ok := strings.Cut(stderr, "type: ")
	require.True(t, ok, "the error names no command: %s", stderr)
	command, _, _ = strings.Cut(strings.TrimSuffix(command, "\n"), " (or ")
	words := strings.Fields(command)
	require.Equal(t, 1, strings.Count(command, "oneshot"), stderr)
	require.Contains(t, words, "oneshot", stderr)
	return words
}

func visitorNamed(name string) visitor {
	for _, v := range visitors {
		if v.name == name {
			return v
		}
	}
	panic("no visitor " + name)
}

// TestARootlessContainer is about a container that alice has started herself. She may do
// everything in its user namespace, so her client enters from outside.
func TestARootlessContainer(t *testing.T) {
	t.Parallel()
	needRoot(t)
	mapped := as(alice, "unshare", "--user", "--map-root-user", "--mount", "--net", "--")
	if out, err := testwait.Command(t, mapped[0], append(mapped[1:], "mount", "-t", "tmpfs", "none", "/mnt")...).CombinedOutput(); err != nil {
		t.Skipf("needs user namespaces for every user: %v: %s", err, out)
	}
	program := plain(t, "./program")
	script := "mount --bind " + filepath.Dir(program) + " /mnt && mount -t tmpfs -o mode=1777 none /tmp && exec /mnt/program deadlocked"
	c := start(t, exec.Command(mapped[0], append(mapped[1:], "sh", "-c", script)...), "ready")
	pid := strconv.Itoa(c.Process.Pid)
	out, errs, status := oneshotAs(t, as(alice), pid, "mem")
	require.Zero(t, status, errs)
	require.Contains(t, out, "heap in use")
	// Root of the host is another user there.
	_, errs, status = oneshotAs(t, []string{"env"}, pid, "mem")
	require.NotZero(t, status)
	require.Contains(t, errs, "uid 65534 stands for every user")
	words, args := suggested(t, errs, nil)
	out, errs, status = oneshotAs(t, words, append(args, "mem")...)
	require.Zero(t, status, errs)
	require.Contains(t, out, "heap in use")
}
