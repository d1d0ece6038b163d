//go:build linux

package main

import (
	"bufio"
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
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// scriptsTime is how long all scripts together may take. The go command may have to
// build pprof first.
const scriptsTime = 4 * time.Minute

// TestScripts runs testdata/script.
func TestScripts(t *testing.T) { testscript.Run(t, scriptParams(t, "testdata/script")) }

// scriptParams returns how the scripts in a folder are run.
func scriptParams(t *testing.T, dir string) testscript.Params {
	every := make([]byte, 0, 256*100)
	for range 100 {
		for b := range 256 {
			every = append(every, byte(b))
		}
	}
	var goCache string // go tool needs it
	if out, err := testwait.Command(t, "go", "env", "GOCACHE").Output(); err == nil {
		goCache = strings.TrimSpace(string(out))
	}
	deadline := time.Now().Add(scriptsTime)
	if ofTest, ok := t.Deadline(); ok && ofTest.Before(deadline) {
		deadline = ofTest
	}
	return testscript.Params{
		Dir:      dir,
		Deadline: deadline,
		Setup: func(env *testscript.Env) error {
			env.Setenv("every", env.WorkDir+"/every")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			if goCache != "" {
				env.Setenv("GOCACHE", goCache)
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
	}
}

// status N COMMAND runs a command that must end with exit status N. With ! it must
// end with another one.
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

// start NAME COMMAND starts a command in the background. Its pid is in $NAME.
func startCommand(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(args[1], args[2:]...)
	stdin, err := cmd.StdinPipe() // commands that read it must not see its end
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ts.Setenv(args[0], strconv.Itoa(cmd.Process.Pid))
	ts.Check(waitForExec(cmd.Process.Pid))
}

// waitForExec waits until a process runs another program than this one. execve sets the
// place of the command line, which some commands show, after the executable.
func waitForExec(pid int) error {
	own, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(testwait.Patience); ; time.Sleep(time.Millisecond) {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err == nil && exe != own {
			if line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && len(line) > 0 {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("timeout, waited for: process %d executes the command; last seen: %q, %v", pid, exe, err)
		}
	}
}

// program NAME KIND starts one of the programs of main_test.go. Its pid is in $NAME.
func programCommand(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programEnv+"="+args[1])
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	in, err := cmd.StdinPipe() // the program exits at the end of its input, even if the test is killed
	ts.Check(err)
	ts.Check(cmd.Start())
	ts.Defer(func() { clienttest.End(cmd, in) })
	ts.Check(out.(*os.File).SetReadDeadline(time.Now().Add(2 * testwait.Patience)))
	text := make([]byte, len("ready\n"))
	if n, err := io.ReadFull(out, text); err != nil {
		ts.Fatalf("waited for: ready; the program printed %q: %v", text[:n], err)
	}
	path := fmt.Sprintf("/tmp/manhole-%d", cmd.Process.Pid)
	testwait.RemoveDead(path)
	ts.Setenv(args[0], strconv.Itoa(cmd.Process.Pid))
	ts.Setenv(args[0]+"_path", path)
}

// alive PID requires that a process is alive.
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

// sessions N PID opens N sessions and keeps them open until the end of the script.
func sessionsCommand(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	pid, err := strconv.Atoi(args[1])
	ts.Check(err)
	deadline := time.Now().Add(testwait.Patience)
	for n > 0 {
		ts.Check(syscall.Kill(pid, syscall.SIGUSR2))
		conn, err := net.Dial("unix", fmt.Sprintf("/tmp/manhole-%d", pid))
		first := ""
		if err == nil {
			ts.Defer(func() { conn.Close() })
			ts.Check(conn.SetReadDeadline(deadline))
			first, err = bufio.NewReader(conn).ReadString('\n')
		}
		if err == nil && !strings.HasPrefix(first, protocol.Refused) { // earlier sessions may not have ended yet
			n--
			continue
		}
		if time.Now().After(deadline) {
			ts.Fatalf("timeout, waited for: %d more sessions of process %d; last seen: %q, %v", n, pid, first, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// commands are the commands of the programs.
var commands = []oneshot.Command{
	{Name: "say", Run: func(_ context.Context, s *oneshot.Session, args []string) error {
		_, err := fmt.Fprintf(s, "%q\n", args)
		return err
	}},
	{Name: "title", Run: func(_ context.Context, s *oneshot.Session, _ []string) error {
		_, err := io.WriteString(s, "\x1b]0;TITLE\a gr\u00fc\u00df\n")
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
