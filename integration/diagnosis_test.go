//go:build linux

package integration

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/stretchr/testify/require"
)

// screenful is how many lines a tired person reads.
const screenful = 40

// condition is a program with a fault, or without one, amid the goroutines of
// an ordinary service.
func condition(name string) {
	if os.Getenv("INTEGRATION_CROWD") != "" {
		for range 1000 {
			go func() { crowd() }()
		}
	}
	if start, ok := faults[name]; ok {
		startOrdinary()
		start()
	} else {
		healthy[name]()
	}
	_, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: os.Getenv("INTEGRATION_PATH")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

// crowd is what many goroutines do in a program with many.
func crowd() {
	jobs := make(chan int)
	defer hold(jobs)
	select {
	case <-jobs:
	case <-time.After(time.Hour):
	}
}

// firstScreen starts a program in a condition and returns what its manhole
// shows at first.
func firstScreen(t *testing.T, name string, env ...string) string {
	t.Helper()
	path := t.TempDir() + "/s"
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "INTEGRATION_PROGRAM=condition", "INTEGRATION_CONDITION="+name, "INTEGRATION_PATH="+path)
	cmd.Env = append(cmd.Env, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	c := start(t, cmd, "ready")
	c.signal(t, syscall.SIGUSR2)
	var conn net.Conn
	eventually(t, func() (ok bool) {
		var err error
		conn, err = net.Dial("unix", path)
		return err == nil
	}, "there is no socket: %s", c.stderr)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	var screen strings.Builder
	buf := make([]byte, 64<<10)
	for !strings.HasSuffix(screen.String(), ">>> ") {
		n, err := conn.Read(buf)
		screen.Write(buf[:n])
		require.NoError(t, err, "%s\n%s", screen.String(), c.stderr)
	}
	return screen.String()
}

// TestFaultsAreFoundOnTheFirstScreen: the line that a person has to look at.
func TestFaultsAreFoundOnTheFirstScreen(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		t.Run(name, func(t *testing.T) { isFound(t, name) })
	}
}

// TestFaultsAreFoundInALargeProgram: where nobody stops it to see which
// goroutine is which. A worker that missed its wakeup is not found there, and a
// dead downstream only if the program does little else.
func TestFaultsAreFoundInALargeProgram(t *testing.T) {
	for _, name := range []string{
		"channelLeak", "channelLeak2", "lockConvoy", "lockConvoy2", "deadlock", "deadlock2", "spin", "spin2",
		"mapGrows", "memoryLimit", "descriptors", "stuckLog", "stuckLog2",
	} {
		t.Run(name, func(t *testing.T) { isFound(t, name, "INTEGRATION_CROWD=1") })
	}
}

// isFound wants a guilty line on the first screen. Where other tests keep the
// CPUs busy a look may find a goroutine that spins off its CPU, in the collector's
// service; so there are three tries, as for a person who looks again.
func isFound(t *testing.T, name string, env ...string) {
	t.Helper()
	guilty := guiltyLines(t, name)
	var top string
	for range 3 {
		lines := strings.Split(firstScreen(t, name, env...), "\n")
		top = strings.Join(lines[:min(len(lines), screenful)], "\n") + "\n"
		if strings.Contains(top, "What stands out:") && slices.ContainsFunc(guilty, func(line string) bool {
			return strings.Contains(top, line+"\n")
		}) {
			return
		}
	}
	require.Fail(t, "not found", "none of %v stands out in\n%s", guilty, top)
}

// TestHealthyProgramsHaveNothingThatStandsOut: nobody is to be sent the wrong way.
func TestHealthyProgramsHaveNothingThatStandsOut(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(healthy)) {
		t.Run(name, func(t *testing.T) {
			isHealthy(t, name)
			if name != "keepalive" { // large enough
				isHealthy(t, name, "INTEGRATION_CROWD=1")
			}
		})
	}
}

// isHealthy wants a first screen on which nothing stands out. Where others keep
// the CPUs busy the program may stand still at every look, and what it does at the
// moment looks stuck; so there are three tries here too.
func isHealthy(t *testing.T, name string, env ...string) {
	t.Helper()
	var screen string
	for range 3 {
		screen = firstScreen(t, name, env...)
		require.Contains(t, screen, "by identical stacks")
		if !strings.Contains(screen, "What stands out") {
			return
		}
	}
	require.Fail(t, "something stands out", "%s", screen[:min(len(screen), 4000)])
}
