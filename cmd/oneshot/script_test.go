//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/gomanhole/oneshot"
)

// TestScripts runs testdata/script.
func TestScripts(t *testing.T) {
	every := make([]byte, 0, 256*100)
	for range 100 {
		for b := range 256 {
			every = append(every, byte(b))
		}
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("every", env.WorkDir+"/every")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			if out, err := exec.Command("go", "env", "GOCACHE").Output(); err == nil { // for go tool
				env.Setenv("GOCACHE", strings.TrimSpace(string(out)))
			}
			return os.WriteFile(env.WorkDir+"/every", every, 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status":   status,
			"start":    startCommand,
			"program":  programCommand,
			"alive":    alive,
			"sessions": sessionsCommand,
		},
	})
}

// status N COMMAND runs a command that must end with status N; ! with another.
func status(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	for i, arg := range args {
		args[i] = strings.ReplaceAll(arg, `\n`, "\n")
	}
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if (got == want) == neg {
		ts.Fatalf("status %d", got)
	}
}

// startCommand is start NAME COMMAND: in the background, its pid in $NAME.
func startCommand(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(args[1], args[2:]...)
	stdin, err := cmd.StdinPipe() // for those that read it
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ts.Setenv(args[0], strconv.Itoa(cmd.Process.Pid))
	ts.Check(untilExeced(cmd.Process.Pid))
}

// untilExeced waits until a process is no copy of this one any more.
func untilExeced(pid int) error {
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err == nil && exe != own {
			return nil
		}
	}
	return errors.New("the command does not start")
}

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// programCommand is program NAME KIND: one of the programs of main_test.go.
func programCommand(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programEnv+"="+args[1])
	cmd.Stderr = io.Discard
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	in, err := cmd.StdinPipe() // the program ends with us, however we do
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() { end(cmd, in) })
	_, err = io.ReadFull(out, make([]byte, len("ready\n")))
	ts.Check(err)
	ts.Setenv(args[0], strconv.Itoa(cmd.Process.Pid))
	ts.Setenv(args[0]+"_path", fmt.Sprintf("/tmp/manhole-%d", cmd.Process.Pid))
}

func alive(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(syscall.Kill(pid, 0))
	state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	ts.Check(err)
	if strings.Contains(string(state), ") Z ") {
		ts.Fatalf("process %d has ended", pid)
	}
}

// sessionsCommand is sessions N PID: opens so many sessions and stays in.
func sessionsCommand(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	pid, err := strconv.Atoi(args[1])
	ts.Check(err)
	for range n {
		ts.Check(syscall.Kill(pid, syscall.SIGUSR2))
		var conn net.Conn
		for deadline := time.Now().Add(patience); conn == nil; time.Sleep(time.Millisecond) {
			if conn, err = net.Dial("unix", fmt.Sprintf("/tmp/manhole-%d", pid)); err != nil && time.Now().After(deadline) {
				ts.Fatalf("no window: %v", err)
			}
		}
		ts.Defer(func() { conn.Close() })
		_, err := conn.Read(make([]byte, 1))
		ts.Check(err)
	}
}

// commands are those of the programs.
var commands = []oneshot.Command{
	{Name: "say", Run: func(_ context.Context, s *oneshot.Session, args []string) error {
		_, err := fmt.Fprintf(s, "%q\n", args)
		return err
	}},
	{Name: "bytes", Run: func(_ context.Context, s *oneshot.Session, _ []string) error {
		for range 100 {
			for b := range 256 {
				if _, err := s.Write([]byte{byte(b)}); err != nil {
					return err
				}
			}
		}
		return nil
	}},
}
