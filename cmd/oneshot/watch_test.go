//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestWatchWritesFilesWhenItsConditionHolds(t *testing.T) {
	t.Parallel()
	pid, dir := startProgram(t, "parkedinstalled"), t.TempDir()
	out, errs, status := client(t, os.Args[0], "watch", strconv.Itoa(pid), "-when", "goroutines>20 && rss>1MiB && threads>0", "-dir", dir,
		"-do", "stacks", "-do", "profile heap", "-do", "say ../../x", "-do", "nosuch", "-times", "2", "-every", "1ms")
	require.Equal(t, statusFailed, status, errs)
	require.Contains(t, errs, "oneshot: watch: 2 of 8 commands failed\n")
	require.Regexp(t, `(?m)^\S+ \S+ watching process `+strconv.Itoa(pid)+` \(oneshot.test\) for goroutines>20`, out)
	require.Regexp(t, `(?m)^\S+ \S+ goroutines is \d\d, rss is [0-9.]+ .iB, threads is \d+$`, out)
	require.Equal(t, 2, strings.Count(errs, `oneshot: nosuch: exit status 2`), errs)
	found := make(map[string]int)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		m := regexp.MustCompile(`^oneshot-oneshot.test-` + strconv.Itoa(pid) + `-\d{8}T\d{6}-([a-z_.]+)(-2)?\.(txt|pb\.gz)$`).FindStringSubmatch(entry.Name())
		require.NotNil(t, m, entry.Name())
		found[m[1]+"."+m[3]]++
		info, err := entry.Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		switch m[1] {
		case "stacks":
			require.Contains(t, string(text), "oneshot.offer")
		case "profile_heap":
			_, err := profile.ParseData(text)
			require.NoError(t, err)
		default:
			require.Equal(t, "[\"../../x\"]\n", string(text))
		}
	}
	require.Equal(t, map[string]int{"stacks.txt": 2, "profile_heap.pb.gz": 2, "say_.._.._x.txt": 2}, found, "no file for the command that failed")
}

func TestWatchWritesABundle(t *testing.T) {
	t.Parallel()
	pid, dir := startProgram(t, "installed"), t.TempDir()
	out, errs, status := client(t, os.Args[0], "watch", strconv.Itoa(pid), "-when", "rss>1MiB", "-dir", dir, "-do", "bundle -for 0.1s -values", "-times", "1")
	require.Zero(t, status, errs)
	files, err := filepath.Glob(dir + "/oneshot-*-bundle_-for_0.1s_-values.tar.gz")
	require.NoError(t, err)
	require.Len(t, files, 1, "%s\n%s", out, errs)
	require.Contains(t, out, files[0])
	info, err := os.Lstat(files[0])
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	b, err := bundle.Open(files[0])
	require.NoError(t, err)
	require.Equal(t, bundle.Complete, b.Manifest.End)
	require.Contains(t, b.Names(), "profiles/cpu.pb.gz")
	env, err := b.Part("env.txt")
	require.NoError(t, err)
	require.Contains(t, string(env), "\nPATH=")
	for _, wrong := range []string{"bundle -for x", "bundle -for 0s", "bundle 4321", "bundle -o file"} {
		_, errs, status := client(t, os.Args[0], "watch", strconv.Itoa(pid), "-when", "rss>1MiB", "-dir", dir, "-do", wrong)
		require.Equal(t, statusUsage, status, errs)
		require.Contains(t, errs, "watch: -do: bundle: ")
	}
}

// A program without a manhole is watched and read from outside. The condition holds when
// it has got more goroutines.
func TestWatchAProgramThatGrows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	grows := exec.Command(os.Args[0])
	grows.Env = append(os.Environ(), programEnv+"=grows")
	in, err := grows.StdinPipe()
	require.NoError(t, err)
	programOut, err := grows.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, grows.Start())
	t.Cleanup(func() { clienttest.End(grows, in) })
	lines := bufio.NewReader(programOut)
	testwait.Deadline(t, programOut)
	line, err := lines.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	out := new(testwait.Buffer)
	cmd := startClientFor(t, out, "watch", "-when", "goroutines>60", "-times", "1", "-dir", dir, strconv.Itoa(grows.Process.Pid))
	clienttest.Poll(t, "the beginning", func() (string, bool) { return out.String(), strings.Contains(out.String(), "watching process") })
	for range 100 {
		_, err := in.Write([]byte("\n"))
		require.NoError(t, err)
	}
	_ = cmd.Wait()
	require.Zero(t, cmd.ProcessState.ExitCode(), out)
	files, err := filepath.Glob(dir + "/*stacks_-n_0.txt")
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.Contains(t, out.String(), "goroutines is ")
}

func TestWatchEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "installed")
	out := new(testwait.Buffer)
	cmd := startClientFor(t, out, "watch", "-when", "rss>1TiB || cpu>100000%", strconv.Itoa(pid))
	clienttest.Poll(t, "the beginning", func() (string, bool) { return out.String(), strings.Contains(out.String(), "watching process") })
	time.Sleep(500 * time.Millisecond) // some looks
	_, err := os.Lstat(fmt.Sprintf("/tmp/manhole-%d", pid))
	require.ErrorIs(t, err, os.ErrNotExist, "a signal would have opened a window")
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	_ = cmd.Wait()
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Contains(t, out.String(), "has ended")
}

// The watcher needs less than half a percent of a CPU.
func TestWatchCostsLittle(t *testing.T) {
	t.Parallel()
	if testwait.RaceDetector {
		t.Skip("the race detector makes it slower")
	}
	pid := startProgram(t, "parkedinstalled")
	out := new(testwait.Buffer)
	cmd := startClientFor(t, out, "watch", "-when", "rss>1TiB || goroutines>1000000 || fds>100000 || cpu>100000%/30s", strconv.Itoa(pid))
	clienttest.Poll(t, "the beginning", func() (string, bool) { return out.String(), strings.Contains(out.String(), "watching process") })
	used := func() time.Duration {
		th, err := procfs.ReadThread("/proc/" + strconv.Itoa(cmd.Process.Pid))
		require.NoError(t, err)
		return th.User + th.System
	}
	before, began := used(), time.Now()
	time.Sleep(6 * time.Second)
	share := float64(used()-before) / float64(time.Since(began))
	// The kernel counts in ticks of 10 ms: two of them are more than half a percent of the time.
	require.Less(t, share, 0.01, "%v in %v", used()-before, time.Since(began))
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
}

func TestWatchSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(startProgram(t, "installed"))
	for _, test := range []struct {
		says string
		argv []string
	}{
		{"give a condition, such as", []string{"watch", pid}},
		{"heap>1\" is not something that is measured", []string{"watch", "-when", "heap>1", pid}},
		{"is not a folder", []string{"watch", "-when", "rss>1", "-dir", "/nonexistent", pid}},
		{"-do needs a command", []string{"watch", "-when", "rss>1", "-do", "", pid}},
		{"there is no process", []string{"watch", "-when", "rss>1", "999999999"}},
	} {
		_, errs, status := client(t, append([]string{os.Args[0]}, test.argv...)...)
		require.NotZero(t, status)
		require.Contains(t, errs, test.says)
	}
}
