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
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/notice"
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
	var list psDocument
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&list))
	require.Equal(t, document.Of("ps"), list.Head)
	for _, row := range list.Processes {
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
	// Other tests may have programs of the same user that only root may read.
	require.Regexp(t, `^(process \d+ \(.*\) was skipped: .*\n)*\d+ process(es)? of (an)?other users? (was|were) skipped; root can read them\n$`, errs.String())
	require.NotContains(t, out.String(), fmt.Sprintf("\n%d ", pid))
	require.Regexp(t, `^PID +USER +GO +PROGRAM +MANHOLE +OPEN\n`, out.String())
}

func TestSkippedText(t *testing.T) {
	own := func(pid int) *discovery.Process { return &discovery.Process{PID: pid, EUID: 7, Name: "a\x1bb"} }
	other := &discovery.Process{PID: 9, EUID: 8}
	require.Empty(t, skippedText(nil, 7, true))
	require.Empty(t, skippedText([]*discovery.Process{other, other}, 7, false), "it would be said nearly always")
	require.Equal(t, "2 processes of other users were skipped; root can read them\n", skippedText([]*discovery.Process{other, other}, 7, true))
	require.Equal(t, "process 1 (a\\x1bb) was skipped: only a process with CAP_SYS_PTRACE may read it\n",
		skippedText([]*discovery.Process{own(1), other}, 7, false))
	many := []*discovery.Process{other, own(1), own(2), own(3), own(4), own(5), own(6)}
	require.Regexp(t, `(process [1-5] .*\n){5}1 other process was skipped too\n$`, skippedText(many, 7, false))
	require.Regexp(t, `^process 9 .*\n(process [1-4] .*\n){4}2 other processes were skipped too\n$`, skippedText(many, 0, false))
}

func TestPSShowsTheTriggerFile(t *testing.T) {
	dir := testwait.TempDir(t)
	pid := startProgram(t, "withfile", pathEnv+"="+dir+"/s")
	row, ok := psOf(t, pid)
	require.True(t, ok)
	require.True(t, strings.HasSuffix(row, " trigger file "+dir+"/s trigger "+dir+"/s"), row)
	require.Equal(t, dir+"/s trigger", jsonOf(t, pid).Trigger)

	_, errs, status := client(t, os.Args[0], fmt.Sprint(pid), "build")
	require.Equal(t, 1, status)
	require.Contains(t, errs, fmt.Sprintf("and it is not open now; it says that writing %d into its trigger file %s/s trigger opens it\n", pid, dir))
	require.NoError(t, os.WriteFile(dir+"/s trigger", fmt.Appendln(nil, pid), 0o600))
	out, errs, status := client(t, os.Args[0], "-n", fmt.Sprint(pid), "build")
	require.Zero(t, status, errs)
	require.Contains(t, out, "go1.")
}

// A program can name any file, which root would overwrite.
func TestATriggerFileThatIsNotOfTheUser(t *testing.T) {
	dir := testwait.TempDir(t)
	require.NoError(t, os.WriteFile(dir+"/file", nil, 0o600))
	require.NoError(t, os.Symlink("file", dir+"/link"))
	p := &discovery.Process{PID: 1, EUID: os.Geteuid(), Notice: &notice.Notice{Trigger: dir + "/file"}}
	require.Empty(t, triggerWarning(p))
	p.EUID++
	require.Contains(t, triggerWarning(p), "not a file of its user")
	p.EUID--
	p.Notice.Trigger = dir + "/link"
	require.Contains(t, triggerWarning(p), "not a file of its user")
	p.Notice.Trigger = dir + "/none"
	require.Contains(t, triggerWarning(p), "no such file")
}

// The signal stays with the program, which has nothing that takes it.
func TestAProgramThatDoesNotReceive(t *testing.T) {
	pid := startProgram(t, "deaf", pathEnv+"="+testwait.TempDir(t)+"/s")
	_, errs, status := client(t, os.Args[0], "-t", "0.3", fmt.Sprint(pid), "build")
	require.Equal(t, statusTimeout, status)
	require.Contains(t, errs, "was sent SIGUSR2")
	require.Contains(t, errs, "its log says why if it has received the signal; otherwise the program (Options.NoReceiver) has not called Wait, or Handle with the signal")
}

func TestPSShowsNoControlCharacters(t *testing.T) {
	var out strings.Builder
	none := 0
	row := psRow{PID: 1, InnerPID: 7, Name: "a\x1b[2J\nb", Main: "x\ty", Installed: true, Socket: "/tmp/\n1 root\x9b", Open: &none}
	require.NoError(t, printRows(&out, []psRow{row}))
	require.Equal(t, 2, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "INNER")
	require.Regexp(t, `1 +7 +0 +\? +x\\ty \(a\\x1b\[2J\\nb\) +no signal  /tmp/\\n1 root\\x9b`, out.String())
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
