//go:build linux

package terminal

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func historyFile(t *testing.T) string {
	t.Helper()
	t.Setenv("HOME", t.TempDir())
	state := t.TempDir()
	t.Setenv("XDG_STATE_HOME", state)
	return filepath.Join(state, "oneshot", "history")
}

func TestHistoryIsSaved(t *testing.T) {
	file := historyFile(t)
	h := openHistory()
	require.NoError(t, h.failed)
	for _, line := range []string{"one", "two", "two", "", " secret", "th\x1bree", "x" + strings.Repeat("x", historyMaxLine)} {
		h.Add(line)
	}
	require.NoError(t, h.failed)
	h = openHistory()
	require.Equal(t, 2, h.Len())
	require.Equal(t, "two", h.At(0))
	require.Equal(t, "one", h.At(1))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())
	info, err = os.Stat(filepath.Dir(file))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), info.Mode().Perm())
}

func TestHistoryIsShortened(t *testing.T) {
	file := historyFile(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	var b strings.Builder
	for i := range historyFull + 1 {
		fmt.Fprintln(&b, i)
	}
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
	h := openHistory()
	require.NoError(t, h.failed)
	require.Equal(t, historyLines, h.Len())
	require.Equal(t, fmt.Sprint(historyFull), h.At(0))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, historyLines, strings.Count(string(text), "\n"))
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1)

	// A huge file is not read completely.
	require.NoError(t, os.WriteFile(file, []byte(strings.Repeat(strings.Repeat("y", 999)+"\n", 3000)), 0o600))
	require.NoError(t, openHistory().failed)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(historyMaxBytes))
}

func TestHistoryOfTwoClients(t *testing.T) {
	file := historyFile(t)
	var all sync.WaitGroup
	for c := range 2 {
		all.Go(func() {
			h := openHistory()
			for i := range 100 {
				h.Add(fmt.Sprintf("client %d line %d", c, i))
			}
		})
	}
	testwait.Group(t, &all, "the lines of two clients")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 200, strings.Count(string(text), "\n"))
}

func TestHistoryMustBeRegularFile(t *testing.T) {
	file := historyFile(t)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	other := filepath.Join(t.TempDir(), "other")
	require.NoError(t, os.WriteFile(other, []byte("theirs\n"), 0o600))
	require.NoError(t, os.Symlink(other, file))
	h := openHistory()
	h.Add("mine")
	require.Error(t, h.failed)
	require.Equal(t, 1, h.Len())
	text, err := os.ReadFile(other)
	require.NoError(t, err)
	require.Equal(t, "theirs\n", string(text))

	require.NoError(t, os.Remove(file))
	require.NoError(t, syscall.Mkfifo(file, 0o600))
	opened := make(chan error, 1)
	go func() { // opening the pipe in blocking mode would wait for ever
		h := openHistory()
		h.Add("mine")
		opened <- h.failed
	}()
	require.Error(t, testwait.Receive(t, opened, "an error instead of the history"))
}

// With sudo, HOME may be another user's directory.
func TestNoHistoryInAnotherUsersHome(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away; run the tests as root")
	}
	file := historyFile(t)
	require.NoError(t, os.Chown(os.Getenv("HOME"), 1234, -1))
	h := openHistory()
	h.Add("mine")
	require.NoError(t, h.failed)
	require.NoFileExists(t, file)
	require.Equal(t, "mine", h.At(0))
}
