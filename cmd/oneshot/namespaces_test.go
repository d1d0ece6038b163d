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
		require.Contains(t, errs, fmt.Sprintf("the socket %s belongs to pid %d, uid %s, not to process %d, uid %s; nothing was sent",
			path, trap.Process.Pid, mallory, victim.Process.Pid, alice))
	}
	want := strings.Repeat("connected, heard 0 bytes\n", 4)
	text := make([]byte, len(want))
	testwait.Deadline(t, heard)
	n, err := io.ReadFull(heard, text)
	require.NoErrorf(t, err, "waited for: 4 connections; the trap printed %q", text[:n])
	_ = trap.Process.Kill()
	more, err := io.ReadAll(heard)
	require.NoError(t, err)
	require.Equal(t, want, string(text)+string(more))
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
	require.Regexp(t, `process `+pid+` belongs to another user: .*; become that user, or root`, errs)
}
