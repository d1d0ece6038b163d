//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// client runs the client as a separate program and returns its output and its exit
// status.
func client(t *testing.T, argv ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := testwait.Command(t, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), clientEnv+"=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run() // the status is checked below
	if status = cmd.ProcessState.ExitCode(); status < 0 {
		require.FailNowf(t, "the client did not end by itself", "%q: %v; printed %q and %q", argv, err, out.String(), errs.String())
	}
	return out.String(), errs.String(), status
}

// binaryForEveryUser copies this test binary to a place where every user can run it.
func binaryForEveryUser(t *testing.T) string {
	t.Helper()
	dir := testwait.TempDir(t)
	require.NoError(t, os.Chmod(dir, 0o755))
	text, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	path := filepath.Join(dir, "oneshot")
	require.NoError(t, os.WriteFile(path, text, 0o755))
	return path
}

func needNamespaces(t *testing.T, flags ...string) {
	t.Helper()
	if out, err := testwait.Command(t, "unshare", append(flags, "true")...).CombinedOutput(); err != nil {
		t.Skipf("needs namespaces (unshare %v): %v: %s", flags, err, out)
	}
}

// children returns the pids of the children of a process.
func children(t *testing.T, pid int) (pids []int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	require.NoError(t, err)
	for _, word := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(word)
		require.NoError(t, err)
		pids = append(pids, n)
	}
	return pids
}

// inNamespaces starts the program in new namespaces, with its own /tmp. It returns
// the pid outside of them.
func inNamespaces(t *testing.T, flags ...string) int {
	t.Helper()
	// The new /tmp covers the one that has the binary.
	script := "mount -t tmpfs none /tmp && exec /proc/self/fd/3"
	cmd := exec.Command("unshare", append(append(flags, "--"), "sh", "-c", script)...)
	cmd.Env = append(os.Environ(), programEnv+"=installed")
	self, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer self.Close()
	cmd.ExtraFiles = []*os.File{self}
	pid := clienttest.StartReady(t, cmd)
	if below := children(t, pid); len(below) > 0 { // unshare --fork
		pid = below[0]
		t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	}
	return pid
}

// The process has its own pid and mount namespaces, as in a container: there its pid
// is 1 and it has another /tmp. The client runs outside.
func TestAProcessInAContainer(t *testing.T) {
	for name, flags := range map[string][]string{
		"pid and mount": {"--pid", "--fork", "--mount", "--mount-proc"},
		"and user":      {"--user", "--map-root-user", "--pid", "--fork", "--mount", "--mount-proc"},
		"and network":   {"--pid", "--fork", "--mount", "--mount-proc", "--net"},
	} {
		t.Run(name, func(t *testing.T) {
			needNamespaces(t, flags...)
			pid := inNamespaces(t, flags...)
			for range 3 {
				out, errs, status := client(t, os.Args[0], strconv.Itoa(pid), "proc", "status")
				require.Zero(t, status, errs)
				require.Regexp(t, `(?m)^NSpid:\t1$`, out, "the process has pid 1 in its namespace")
			}
			out, errs, status := client(t, os.Args[0], strconv.Itoa(pid), "stacks")
			require.Zero(t, status, errs)
			require.Contains(t, out, "by identical stacks")
			path := fmt.Sprintf("/proc/%d/root/tmp/manhole-1", pid)
			out, errs, status = client(t, os.Args[0], "-2", path, "build")
			require.Zero(t, status, errs)
			require.Contains(t, out, "go1")
		})
	}
}

// The log of a service with its own /tmp (PrivateTmp of systemd), or in a container, has
// a path that works outside.
func TestTheLogHasThePathFromOutside(t *testing.T) {
	for _, test := range []struct {
		flags []string
		path  string
	}{
		{[]string{"--mount"}, "/proc/%d/root/tmp/manhole-%[1]d"},
		{[]string{"--pid", "--fork", "--mount", "--mount-proc"}, "/proc/PID-ON-THE-HOST/root/tmp/manhole-1"},
	} {
		needNamespaces(t, test.flags...)
		dir := testwait.TempDir(t)
		script := "mount --bind '" + dir + "' /tmp && exec /proc/self/fd/3"
		cmd := exec.Command("unshare", append(test.flags, "--", "sh", "-c", script)...)
		cmd.Env = append(os.Environ(), programEnv+"=installed")
		self, err := os.Open("/proc/self/exe")
		require.NoError(t, err)
		defer self.Close()
		log := new(testwait.Buffer)
		cmd.ExtraFiles, cmd.Stderr = []*os.File{self}, log
		pid := clienttest.StartReady(t, cmd)
		want := test.path
		if strings.Contains(want, "%d") {
			want = fmt.Sprintf(want, pid)
		}
		if below := children(t, pid); len(below) > 0 { // unshare --fork
			pid = below[0]
			t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
		require.NoError(t, syscall.Kill(pid, syscall.SIGUSR2))
		testwait.Eventually(t, func() bool { return strings.Contains(log.String(), "window open") }, "the window in the log")
		require.Contains(t, log.String(), " path_from_host="+want+"\n")
		_, err = os.Lstat(strings.ReplaceAll(want, "PID-ON-THE-HOST", strconv.Itoa(pid)))
		require.NoError(t, err, "the path works")
	}
}

func needTwoUsers(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be two users")
	}
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("needs setpriv; install it with apt-get install util-linux")
	}
}

// Another user listens at the path where the administrator expects the manhole. The
// client must not send a single byte to that socket.
func TestAPlantedSocket(t *testing.T) {
	needTwoUsers(t)
	const alice, mallory = "12345", "12346"
	binary := binaryForEveryUser(t)
	as := func(uid string, argv ...string) *exec.Cmd {
		return exec.Command("setpriv", append([]string{"--reuid", uid, "--regid", uid, "--clear-groups", "--"}, argv...)...)
	}
	victim := as(alice, binary)
	victim.Env = append(os.Environ(), programEnv+"=installed")
	clienttest.StartReady(t, victim)
	path := fmt.Sprintf("/tmp/manhole-%d", victim.Process.Pid)
	testwait.RemoveDead(path)

	trap := as(mallory, binary)
	trap.Env = append(os.Environ(), programEnv+"=trap", pathEnv+"="+path)
	heard, err := trap.StdoutPipe()
	require.NoError(t, err)
	clienttest.Start(t, trap)
	t.Cleanup(func() { _ = os.Remove(path) })
	clienttest.ReadReady(t, heard)

	for _, args := range [][]string{
		{strconv.Itoa(victim.Process.Pid), "build"}, {"-n", strconv.Itoa(victim.Process.Pid), "build"},
		{path, "build"}, {strconv.Itoa(victim.Process.Pid)},
	} {
		out, errs, status := client(t, append([]string{binary}, args...)...)
		require.Equal(t, 1, status)
		require.Empty(t, out)
		require.Contains(t, errs, fmt.Sprintf("the socket %s belongs to uid %s, not to process %d, uid %s; nothing was sent",
			path, mallory, victim.Process.Pid, alice))
	}
	_ = trap.Process.Kill()
	connections, err := io.ReadAll(heard)
	require.NoError(t, err)
	require.Empty(t, string(connections), "the client does not even connect")
}

// A program's notice names the socket of another program of the same user, and then that
// of another user. The client of root must not use up the window there.
func TestANoticeWithTheSocketOfAnotherProgram(t *testing.T) {
	dir := testwait.TempDir(t)
	for _, socket := range []string{dir + "/s", fmt.Sprintf("@oneshot-client-test-%d", os.Getpid())} {
		victim := startProgram(t, "installed", pathEnv+"="+socket)
		liar := startProgram(t, "deaf", pathEnv+"="+socket)
		require.NoError(t, syscall.Kill(victim, syscall.SIGUSR2))
		awaitWindow(t, victim)
		for _, args := range [][]string{{"build"}, {}} {
			_, errs, status := client(t, append([]string{os.Args[0], "-t", "0.5", strconv.Itoa(liar)}, args...)...)
			require.NotZero(t, status)
			if socket[0] == '/' {
				require.Contains(t, errs, fmt.Sprintf("the socket %s belongs to another process of uid %d, not to process %d; nothing was sent", socket, os.Geteuid(), liar))
			}
		}
		row := jsonOf(t, victim)
		require.Equal(t, 1, *row.Open, "the window of the other program is still open")
		out, errs, status := client(t, os.Args[0], "-n", strconv.Itoa(victim), "build")
		require.Zero(t, status, errs)
		require.Contains(t, out, "go1.")
	}

	needTwoUsers(t)
	binary := binaryForEveryUser(t)
	require.NoError(t, os.Chmod(dir, 0o755))
	victim := startProgram(t, "installed", pathEnv+"="+dir+"/r")
	liar := exec.Command("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--", binary)
	liar.Env = append(os.Environ(), programEnv+"=liar", pathEnv+"="+dir+"/r")
	clienttest.StartReady(t, liar)
	require.NoError(t, syscall.Kill(victim, syscall.SIGUSR2))
	awaitWindow(t, victim)
	_, errs, status := client(t, os.Args[0], "-t", "0.5", strconv.Itoa(liar.Process.Pid), "build")
	require.Equal(t, 1, status)
	require.Contains(t, errs, fmt.Sprintf("belongs to uid 0, not to process %d, uid 12345; nothing was sent", liar.Process.Pid))
	require.Equal(t, 1, *jsonOf(t, victim).Open)
}

func awaitWindow(t *testing.T, pid int) {
	t.Helper()
	clienttest.Poll(t, "an open window", func() (string, bool) {
		n := jsonOf(t, pid).Open
		return fmt.Sprint(n), n != nil && *n == 1
	})
}

// trap is a listener that prints how many bytes each client sends.
func trap(path string) {
	ln, err := net.Listen("unix", path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_ = os.Chmod(path, 0o666)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
		os.Exit(0)
	}()
	fmt.Println("ready")
	for {
		conn, err := ln.Accept()
		if err != nil {
			os.Exit(1)
		}
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		heard, _ := io.ReadAll(conn)
		fmt.Printf("connected, heard %d bytes\n", len(heard))
		conn.Close()
	}
}

func TestAnotherUsersProcess(t *testing.T) {
	needTwoUsers(t)
	binary := binaryForEveryUser(t)
	pid := strconv.Itoa(os.Getpid()) // root's
	setpriv := []string{"setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--", binary}
	_, errs, status := client(t, append(setpriv, pid)...)
	require.Equal(t, 1, status)
	require.Regexp(t, `not permitted to read process `+pid+`: it belongs to uid \d+.*; become that user, or run oneshot as root: sudo oneshot `+pid, errs)
}
