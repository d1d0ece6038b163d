//go:build linux && (amd64 || arm64)

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// From outside the same is seen as by the program itself, in the same words.
func TestOutsideAgreesWithTheInside(t *testing.T) {
	dir := testwait.TempDir(t)
	pid := strconv.Itoa(startProgram(t, "holds", pathEnv+"="+filepath.Join(dir, "manhole"), "GIVEN=a\x1b[2Jb"))
	run := func(args ...string) string {
		out, errs, status := client(t, append([]string{os.Args[0]}, args...)...)
		require.Zero(t, status, errs)
		return out
	}
	wakeups := regexp.MustCompile(`(eventfd +rw +count) \d+, nonblock`) // of the runtime's poller, which counts at any time
	rows := func(out string) (list []string) {
		for line := range strings.Lines(out) {
			list = append(list, wakeups.ReplaceAllString(strings.TrimRight(line, "\n"), "$1 N, nonblock"))
		}
		return list
	}
	// The session has descriptors, and threads, of its own, and they may outlive it.
	outside := rows(run("-outside", pid, "fds", "-n", "0"))
	inside := rows(run(pid, "fds", "-n", "0"))
	require.Subset(t, inside, outside[1:])
	for _, kind := range []string{"tcp", "udp", "unix", "file", "pipe", "dir", "eventfd", "inotify", "memfd", "pidfd", "signalfd", "timerfd", "eventpoll", "char"} {
		require.Regexp(t, `(?m)^ +\d+  `+kind+` `, strings.Join(outside[1:], "\n"))
	}
	require.Regexp(t, `^\d+ of \d+: `, outside[0])
	require.Contains(t, strings.Join(outside, "\n"), "(this process)")
	require.Contains(t, run("-outside", pid, "fds", "tcp.*LISTEN"), " LISTEN 127.0.0.1:")
	require.Contains(t, run("-outside", pid, "fds", "-n", "1"), " more: fds -n 0\n")

	threads := func(out string) (tids []string) {
		for _, row := range regexp.MustCompile(`(?m)^ *(\d+)  [A-Z] `).FindAllStringSubmatch(out, -1) {
			tids = append(tids, row[1])
		}
		return tids
	}
	mine := threads(run("-outside", pid, "threads", "-n", "0"))
	require.NotEmpty(t, mine)
	require.Subset(t, threads(run(pid, "threads", "-n", "0")), mine)
	require.Regexp(t, "(?m)the runtime's thread for signals$", run("-outside", pid, "threads"))

	signals := run("-outside", pid, "signals")
	require.Equal(t, rows(run(pid, "signals"))[3:5], rows(signals)[3:5], "ignored and caught")
	require.Contains(t, signals, "\nlistens to: SIGUSR1,SIGUSR2\nSIGTERM     not known from outside\n")
	require.Equal(t, run(pid, "build"), run("-outside", pid, "build"))
	require.Equal(t, run(pid, "proc", "limits"), run("-outside", pid, "proc", "limits"))
	require.Equal(t, run(pid, "proc", "cmdline"), run("-outside", pid, "proc", "cmdline"))
	require.Equal(t, run(pid, "proc", "cwd"), run("-outside", pid, "proc", "cwd"))

	require.Equal(t, `"a\x1b[2Jb"`+"\n", run("-outside", pid, "env", "GIVEN"))
	require.Equal(t, run(pid, "env", "GIVEN"), run("-outside", pid, "env", "GIVEN"))
	out, errs, status := client(t, os.Args[0], "-outside", pid, "env")
	require.Zero(t, status)
	require.Contains(t, out, `GIVEN="a\x1b[2Jb"`+"\n")
	require.NotContains(t, out, "SET_LATER")
	require.Contains(t, errs, "this is the environment with which the program was started")

	file := filepath.Join(dir, "dump")
	require.Regexp(t, `^\S+ (KiB|B) written to `+file+"\n$", run("-outside", pid, "stacks", "-o", file))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), "oneshot/cmd/oneshot.runProgram  ")
}

// What changes is seen from outside too.
func TestOutsideComparesTwoLooks(t *testing.T) {
	in, cmd := startGrower(t)
	looking, out := startClient(t, strconv.Itoa(cmd.Process.Pid), "stacks", "-diff", "-n", "1")
	done := make(chan error, 1)
	go func() { done <- looking.Wait() }()
	for running := true; running; time.Sleep(10 * time.Millisecond) {
		_, err := fmt.Fprintln(in, "one more")
		require.NoError(t, err)
		select {
		case err := <-done:
			require.NoError(t, err, out.String())
			running = false
		default:
		}
	}
	require.Regexp(t, `(?m)^\+\d+ \(\d+, was \d+\) chan send\n(    .*\n)*    \S+/cmd/oneshot.offer  `, out.String())
}

func startGrower(t *testing.T) (in *os.File, cmd *exec.Cmd) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programEnv+"=grows")
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	r.Close()
	t.Cleanup(func() { clienttest.End(cmd, w) })
	clienttest.ReadReady(t, out)
	return w, cmd
}

// Each command works from outside, or says what to do instead.
func TestEachCommandWorksFromOutsideOrSaysWhatToDo(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "plain"))
	args := map[string][]string{"goroutine": {"1"}}
	works := 0
	for _, c := range command.Completions() {
		out, errs, status := client(t, append([]string{os.Args[0], pid, c.Name}, args[c.Name]...)...)
		if instead[c.Name] != "" {
			require.Equal(t, 2, status, c.Name)
			require.Empty(t, out, c.Name)
			require.Equal(t, "oneshot: "+c.Name+" needs the help of the program, and process "+pid+" has no manhole; "+instead[c.Name]+"\n", errs)
			_, errs, status = client(t, os.Args[0], "-outside", pid, "help", c.Name)
			require.Equal(t, 2, status, errs)
			continue
		}
		works++
		require.Zero(t, status, "%s: %s", c.Name, errs)
		require.NotEmpty(t, out, c.Name)
		if c.Name == "help" {
			continue
		}
		require.Equal(t, 1, strings.Count(errs, readOutside), "said once: %s", errs)
		out, errs, status = client(t, append([]string{os.Args[0], pid, c.Name, "-json"}, args[c.Name]...)...)
		require.Zero(t, status, "%s: %s", c.Name, errs)
		var head document.Head
		require.NoError(t, json.Unmarshal([]byte(out), &head), out)
		require.Equal(t, document.Of(c.Name), head)
	}
	require.Equal(t, 10, works)
	require.Len(t, instead, len(command.Completions())-works)

	out, errs, status := client(t, os.Args[0], pid, "help")
	require.Zero(t, status)
	require.Empty(t, errs)
	require.Contains(t, out, "  fds [-n N] [REGEXP]      show the open files")
	require.NotContains(t, out, "  gc ")
	out, _, _ = client(t, os.Args[0], pid, "help", "stacks")
	require.Contains(t, out, "\nFrom outside nothing is stopped, at any size.")
	for _, wrong := range [][]string{{"no"}, {"help", "no"}, {"help", "a", "b"}, {"build", "x"}, {"stacks", "-pprof", "-o", "x"}} {
		_, errs, status := client(t, append([]string{os.Args[0], pid}, wrong...)...)
		require.Equal(t, 2, status, "%q: %s", wrong, errs)
	}
}

// -outside says what cannot be read from outside, and does nothing else instead.
func TestOutsideOfWhatIsNotAGoProgram(t *testing.T) {
	pid := strconv.Itoa(clienttest.Start(t, exec.Command("sleep", "1000")))
	clienttest.Poll(t, "the error", func() (string, bool) { // the child may not be sleep yet
		_, errs, status := client(t, os.Args[0], "-outside", pid)
		return errs, status == 1 && strings.Contains(errs, "process "+pid+" (sleep) is not a Go program")
	})
	_, errs, status := client(t, os.Args[0], "-outside", "/tmp/manhole-1")
	require.Equal(t, 2, status)
	require.Contains(t, errs, "give the pid of the process, not a path")
	ended := testwait.Command(t, "true")
	require.NoError(t, ended.Run())
	_, errs, status = client(t, os.Args[0], "-outside", strconv.Itoa(ended.Process.Pid))
	require.Equal(t, 1, status)
	require.Contains(t, errs, "there is no process")
}

// The vital signs are those of the process, and not of the client.
func TestVitalSignsFromOutside(t *testing.T) {
	pid := strconv.Itoa(startProgram(t, "frozen", "GODEBUG=asyncpreemptoff=1"))
	out := ""
	clienttest.Poll(t, "a program that computes", func() (string, bool) {
		out, _, _ = client(t, os.Args[0], "-outside", pid)
		busy := regexp.MustCompile(`CPU +(\d+\.\d) of (\d+) for the last \S+, (9\d|100)% of it outside the kernel`).FindStringSubmatch(out)
		return out, busy != nil && busy[1] != "0.0" && busy[2] == strconv.Itoa(runtime.NumCPU())
	})
	status, err := os.ReadFile("/proc/" + pid + "/status")
	require.NoError(t, err)
	n := regexp.MustCompile(`Threads:\t(\d+)\n`).FindSubmatch(status)
	require.Contains(t, out, fmt.Sprintf("; %s threads\n", n[1]))
}

// A process in a container is read from the host, by its pid there.
func TestOutsideOfAProcessInAContainer(t *testing.T) {
	needNamespaces(t, "-mnpf", "--mount-proc")
	cmd := program("plain")
	cmd.Args = append([]string{"unshare", "-mnpf", "--kill-child", "--mount-proc"}, os.Args[0])
	var err error
	cmd.Path, err = exec.LookPath("unshare")
	require.NoError(t, err)
	outer := clienttest.StartReady(t, cmd)
	inner := children(t, outer)
	require.Len(t, inner, 1)
	pid := strconv.Itoa(inner[0])
	for line, says := range map[string]string{
		"": ", pid " + pid + ", ", "fds": " pipe ", "threads": " wchan ", "proc net/dev": " lo: ", "env": programEnv + "=plain\n", "goroutine 1": "runProgram()\n",
	} {
		out, errs, status := client(t, os.Args[0], pid, line)
		if line == "" {
			out, errs, status = client(t, os.Args[0], pid)
		}
		require.Zero(t, status, errs)
		require.Contains(t, out, says, line)
	}
}
