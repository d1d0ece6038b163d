//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// What the environment makes of the test binary instead: one of the programs
// below, or the client.
const (
	programEnv = "ONESHOT_CLIENT_TEST_PROGRAM"
	clientEnv  = "ONESHOT_CLIENT_TEST_CLIENT"
	pathEnv    = "ONESHOT_CLIENT_TEST_PATH"
)

func TestMain(m *testing.M) {
	// Or each of the many programs takes a second to end under the race detector.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	if name := os.Getenv(programEnv); name != "" {
		runProgram(name)
	}
	if os.Getenv(clientEnv) != "" {
		os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	testscript.Main(m, map[string]func(){
		"oneshot": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// runProgram is a Go program that prints ready when it is, and waits.
func runProgram(name string) {
	switch path := os.Getenv(pathEnv); name {
	case "installed": // has a manhole
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: path, Commands: commands})
	case "activated": // has one that a signal opens and another keeps open
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, ActivateOn: syscall.SIGUSR1, SocketPath: path})
	case "asksforterm": // has one that a deadly signal opens, and does not listen to it any more
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGTERM, SocketPath: path})
		signal.Reset(syscall.SIGTERM)
	case "uninstalls": // has one until it is asked for, and counts how often
		m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true})
		if err != nil {
			panic(err)
		}
		c := make(chan os.Signal, 100)
		signal.Notify(c, syscall.SIGUSR2)
		fmt.Println("ready")
		select {
		case <-c:
		case <-time.After(testwait.Patience):
			fmt.Fprintln(os.Stderr, "timeout, waited for: SIGUSR2")
			os.Exit(2)
		}
		_ = m.Uninstall()
		_, _ = io.Copy(io.Discard, os.Stdin)
		fmt.Println(1+len(c), "signals")
		os.Exit(0)
	case "triggered": // has one that no signal opens
		mustInstall(oneshot.Options{SocketPath: path})
	case "plain": // has none
	case "listening": // has none, and listens to some signals
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1, syscall.SIGWINCH, syscall.SIGTERM)
	case "ps": // is the client's
		if err := runPS(nil, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "trap":
		trap(path)
	default:
		fmt.Fprintln(os.Stderr, "no program", name)
		os.Exit(2)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	if m := oneshot.Installed(); m != nil {
		_ = m.Uninstall() // or a window that is open would leave its socket
	}
	os.Exit(0)
}

func mustInstall(o oneshot.Options) {
	if _, err := oneshot.Install(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// startProgram starts one of the programs and returns its pid when it is ready.
func startProgram(t *testing.T, name string, env ...string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), programEnv+"="+name), env...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	pid := startUntilEnd(t, cmd)
	readReady(t, out)
	return pid
}

// startUntilEnd starts a command that is ended with the test.
func startUntilEnd(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	in, err := cmd.StdinPipe() // the program ends with us, however we do
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { end(cmd, in) })
	return cmd.Process.Pid
}

// call calls a subcommand and returns what it prints.
func call(t *testing.T, sub func(args []string, stdout, stderr io.Writer) error, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	require.NoError(t, sub(args, &out, &errs))
	return out.String(), errs.String()
}
