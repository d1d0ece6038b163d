//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func psOf(t *testing.T, pid int) (row string, ok bool) {
	t.Helper()
	out, _ := call(t, "ps")
	for line := range strings.Lines(out) {
		if fields := strings.Fields(line); fields[0] == fmt.Sprint(pid) {
			return strings.Join(fields[1:], " "), true
		}
	}
	return "", false
}

func jsonOf(t *testing.T, pid int) psRow {
	t.Helper()
	out, _ := call(t, "ps", "-json")
	var rows []psRow
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&rows))
	for _, row := range rows {
		if row.PID == pid {
			return row
		}
	}
	require.Fail(t, "not in the list")
	return psRow{}
}

func TestPSWithAndWithoutManhole(t *testing.T) {
	dir := testwait.TempDir(t)
	both := startProgram(t, "activated", pathEnv+"="+dir+"/s-%p")
	path := fmt.Sprintf("%s/s-%d", dir, both)
	row, ok := psOf(t, both)
	require.True(t, ok)
	require.Contains(t, row, runtime.Version()+" github.com/gomanhole/oneshot")
	require.Contains(t, row, "SIGUSR2 oneshot, SIGUSR1 activate "+path)

	plain := startProgram(t, "plain")
	row, ok = psOf(t, plain)
	require.True(t, ok)
	require.True(t, strings.HasSuffix(row, " linked, not installed"), row)

	gofmt := exec.Command("gofmt") // a Go program that waits for its input
	if _, err := exec.LookPath("gofmt"); err == nil {
		row, ok = psOf(t, clienttest.Start(t, gofmt))
		require.True(t, ok)
		require.True(t, strings.HasSuffix(row, " cmd/gofmt not linked"), row)
	}

	_, ok = psOf(t, clienttest.Start(t, exec.Command("sleep", "1000")))
	require.False(t, ok, "sleep is not a Go program")

	got := jsonOf(t, both)
	none := 0
	require.Equal(t, psRow{
		PID: both, InnerPID: both, UID: os.Getuid(), EUID: os.Geteuid(), User: got.User, Name: got.Name, Start: got.Start,
		Go: runtime.Version(), Main: "github.com/gomanhole/oneshot", Version: got.Version, Revision: got.Revision,
		Linked: true, Installed: true, Oneshot: "SIGUSR2", Activate: "SIGUSR1", Socket: path, SameNetwork: true, Open: &none,
	}, got)
	require.NotZero(t, got.Start)
	require.False(t, jsonOf(t, plain).Installed)
	for name := range fieldsOf(t, got) {
		require.Contains(t, psHelp, name, "the help describes every field")
	}

	require.NoError(t, syscall.Kill(both, syscall.SIGUSR2))
	clienttest.PollForFile(t, path)
	require.Equal(t, 1, *jsonOf(t, both).Open)
	row, _ = psOf(t, both)
	require.True(t, strings.HasSuffix(row, path+" 1"), row)
	require.NoError(t, os.Remove(path))
}

func fieldsOf(t *testing.T, row psRow) (fields map[string]any) {
	t.Helper()
	text, err := json.Marshal(row)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &fields))
	return fields
}

// oneshot ps runs as a user that cannot read root's processes.
func TestPSCountsSkippedProcesses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	pid := startProgram(t, "installed")
	cmd := testwait.Command(t, binaryForEveryUser(t))
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), programEnv+"=ps")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), errs.String())
	require.Regexp(t, `^\d+ process(es)? of (an)?other users? (was|were) skipped; root can read them\n$`, errs.String())
	require.NotContains(t, out.String(), fmt.Sprintf("\n%d ", pid))
	require.Regexp(t, `^PID +USER +GO +PROGRAM +MANHOLE +OPEN\n`, out.String())
}

func TestPSShowsNoControlCharacters(t *testing.T) {
	var out strings.Builder
	none := 0
	row := psRow{PID: 1, InnerPID: 7, Name: "a\x1b[2J\nb", Main: "x\ty", Installed: true, Socket: "/tmp/\n1 root\x9b", Open: &none}
	require.NoError(t, printRows(&out, []psRow{row}))
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "INNER")
	require.Regexp(t, `1 +7 +0 +x\\ty \(a\\x1b\[2J\\nb\) +no signal  /tmp/\\n1 root\\x9b`, out.String())
}

func TestPSUsage(t *testing.T) {
	for _, args := range [][]string{{"1"}, {"-x"}} {
		var usage usageError
		require.ErrorAs(t, runPS(args, io.Discard, io.Discard), &usage)
		require.Contains(t, usage.text, "ps: ")
	}
	out, _ := call(t, "ps", "-h")
	require.Equal(t, psHelp, out)
}
