//go:build linux && (amd64 || arm64)

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// The system calls that strace shows. Those of the first list must not be there at
// all. Those of the second may be there for the client itself: the Go runtime sends
// its own threads a signal to preempt them.
const (
	forbiddenCalls = "ptrace,kill,tkill,rt_sigqueueinfo,rt_tgsigqueueinfo,pidfd_send_signal,process_vm_writev,process_madvise,process_mrelease,move_pages,migrate_pages,?creat"
	ownCalls       = "tgkill,prlimit64,sched_setaffinity,sched_setscheduler,sched_setattr,setpriority,ioprio_set"
	openCalls      = "?open,openat,openat2"
	readingCalls   = "process_vm_readv,pidfd_getfd"
)

// violations returns the lines of a trace of the client that could disturb the process
// pid: signals, ptrace, and writes to it or to its files.
func violations(trace, pid, mayWrite string) (bad []string) {
	forbidden := regexp.MustCompile(`^\d+ +(` + strings.NewReplacer(",", "|", "?", "").Replace(forbiddenCalls) + `)\(`)
	own := regexp.MustCompile(`^\d+ +(` + strings.ReplaceAll(ownCalls, ",", "|") + `)\((PRIO_PROCESS, |IOPRIO_WHO_PROCESS, )?(\d+)`)
	writes := regexp.MustCompile(`^\d+ +open(at|at2)?\(.*"(.*?)"(\.\.\.)?, .*(O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND)`)
	client, _, _ := strings.Cut(trace, " ")
	for line := range strings.Lines(trace) {
		if forbidden.MatchString(line) {
			bad = append(bad, line)
		}
		if m := own.FindStringSubmatch(line); m != nil && m[3] != "0" && m[3] != client {
			bad = append(bad, line)
		}
		if m := writes.FindStringSubmatch(line); m != nil && (mayWrite == "" || !strings.HasPrefix(m[2], mayWrite)) {
			bad = append(bad, line)
		}
	}
	return bad
}

func needStrace(t *testing.T) {
	t.Helper()
	if out, err := testwait.Command(t, "strace", "-f", "-qq", "true").CombinedOutput(); err != nil {
		t.Skipf("needs strace (apt-get install strace), and the right to trace a child: %v %s", err, out)
	}
}

// traced runs the client under strace. It returns the trace.
func traced(t *testing.T, args ...string) (trace, errs string, status int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "trace")
	calls := strings.Join([]string{forbiddenCalls, ownCalls, openCalls, readingCalls}, ",")
	_, errs, status = client(t, append([]string{"strace", "-f", "-qq", "-s", "200", "-e", "signal=none", "-o", file, "-e", "trace=" + calls, os.Args[0]}, args...)...)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text), errs, status
}

// Reading from outside does nothing to the process: no ptrace, no signal, no write.
func TestOutsideDoesNothingToTheProcess(t *testing.T) {
	needStrace(t)
	dir := testwait.TempDir(t)
	pid := strconv.Itoa(startProgram(t, "holds", pathEnv+"="+filepath.Join(dir, "manhole")))
	for _, args := range [][]string{
		{}, {"stacks"}, {"stacks", "-full", "-n", "0"}, {"stacks", "-go"}, {"stacks", "-diff"}, {"stacks", "-o", filepath.Join(dir, "dump")},
		{"goroutine", "1"}, {"fds"}, {"threads"}, {"proc"}, {"proc", "status"}, {"proc", "environ"}, {"proc", "maps"}, {"proc", "task/" + pid},
		{"env"}, {"env", "PATH"}, {"build"}, {"signals"}, {"help"},
	} {
		trace, errs, status := traced(t, append([]string{"-outside", pid}, args...)...)
		require.Zero(t, status, "%q: %s", args, errs)
		require.Empty(t, violations(trace, pid, dir), "%q", args)
		require.Contains(t, trace, `"/proc/`+pid+`/`, "%q: the trace has the opening of files", args)
		switch {
		case len(args) == 0 || args[0] == "stacks" || args[0] == "goroutine":
			require.Contains(t, trace, "process_vm_readv("+pid+",", "%q", args)
		case args[0] == "fds":
			require.Contains(t, trace, "pidfd_getfd(", "%q", args)
		}
	}
}

// What the test above looks for would be found.
func TestViolationsAreFound(t *testing.T) {
	const harmless = "7 openat(AT_FDCWD, \"/proc/41/exe\", O_RDONLY|O_CLOEXEC) = 3\n7 prlimit64(0, RLIMIT_NOFILE, NULL, {}) = 0\n8 tgkill(7, 9, SIGURG) = 0\n" +
		"7 openat(3, \"status\", O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_PATH) = 4\n8 process_vm_readv(41, [...]) = 1\n7 openat(AT_FDCWD, \"/d/dump\", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 3\n"
	require.Empty(t, violations(harmless, "41", "/d"))
	for _, line := range []string{
		"7 kill(41, SIGSTOP) = 0\n", "9 ptrace(PTRACE_SEIZE, 41) = 0\n", "7 tgkill(41, 41, SIGURG) = 0\n", "8 process_vm_writev(41, [...]) = 1\n",
		"8 openat(AT_FDCWD, \"/proc/41/mem\", O_RDWR|O_CLOEXEC) = 3\n", "8 openat(5, \"clear_refs\", O_WRONLY) = 3\n",
		"8 prlimit64(41, RLIMIT_NOFILE, {}, NULL) = 0\n", "8 setpriority(PRIO_PROCESS, 41, 1) = 0\n", "8 pidfd_send_signal(3, SIGSTOP, NULL, 0) = 0\n",
		"8 rt_sigqueueinfo(41, SIGUSR1, {}) = 0\n",
	} {
		require.Equal(t, []string{line}, violations(harmless+line, "41", "/d"))
	}
}

// Where the kernel refuses the memory but not the files (Yama, seccomp), the error says
// so, and what can be read is read.
func TestOutsideWhereTheMemoryIsRefused(t *testing.T) {
	needStrace(t)
	pid := strconv.Itoa(clienttest.StartReady(t, program("plain")))
	refused := func(args ...string) (out, errs string, status int) {
		return client(t, append([]string{"strace", "-f", "-qq", "-o", os.DevNull, "-e", "inject=process_vm_readv,pidfd_getfd:error=EPERM", os.Args[0], pid}, args...)...)
	}
	out, errs, status := refused()
	require.Equal(t, 1, status)
	require.Regexp(t, `(?m)^CPU .*\nmemory .*; \d+ of \d+ descriptors\n\d+ threads\n`, out)
	require.Contains(t, errs, "not permitted to read process "+pid+": ")
	require.Contains(t, errs, "a seccomp filter refuses it")
	_, errs, status = refused("goroutine", "1")
	require.Equal(t, 1, status)
	require.Contains(t, errs, "a seccomp filter refuses it")
	out, errs, status = refused("threads")
	require.Zero(t, status, errs)
	require.Contains(t, out, "wchan")
	_, errs, status = refused("fds")
	require.Zero(t, status, errs)
	require.NotContains(t, errs, "addresses of sockets") // it has none
}

// program returns the command of one of the programs of runProgram.
func program(name string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), programEnv+"="+name), env...)
	return cmd
}
