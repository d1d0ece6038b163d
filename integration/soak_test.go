//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/stretchr/testify/require"
)

// TestTenThousandSessionsUnderLoad runs 10,000 sessions in a program that serves requests
// all the time. A signal opens each session, several run at once, and each runs one
// command. Some begin with the first screen that a person sees. Afterwards the program
// serves, and it has as many goroutines, threads, descriptors and files, and as much
// memory, as after the first 1,000 sessions.
func TestTenThousandSessionsUnderLoad(t *testing.T) {
	t.Parallel()
	warmUp, sessions := 1000, fewer(10_000)
	c := startIn(t, "serving")
	began := time.Now()
	c.soak(t, 0, warmUp)
	before := c.atRest(t, nil)
	served := c.local(t, "served")
	c.soak(t, warmUp, sessions)
	after := c.atRest(t, &before)
	t.Logf("%v; after %d sessions %+v, after %d %+v", time.Since(began).Round(time.Millisecond), warmUp, before, sessions, after)

	require.LessOrEqual(t, after.goroutines, before.goroutines)
	require.LessOrEqual(t, after.descriptors, before.descriptors)
	// The runtime does not end its threads. It can need one more for every session and
	// every command that are in a system call at the same time.
	require.LessOrEqual(t, after.threads, before.threads+2*atOnce)
	// If each session left 500 bytes, this would be 4.3 MiB more. If they leave nothing, it
	// varies by up to 2 MiB, because of the collector and the allocator.
	require.LessOrEqual(t, after.resident, before.resident+growth)
	require.Greater(t, c.local(t, "served"), served, "it does not serve any more")
	c.signal(t, syscall.SIGTERM) // a late signal may have opened a window
	require.Equal(t, syscall.SIGTERM, c.AwaitEnd(t).Signal())
	left, err := filepath.Glob(c.path + ".*")
	require.NoError(t, err)
	require.NoFileExists(t, c.path)
	require.Empty(t, left)
}

// growth is how many bytes the resident memory may vary by itself.
const growth = 4 << 20

// atOnce is how many clients run at once.
const atOnce = 4

// soakCommands are the commands of the clients, each with a part of the right answer.
var soakCommands = []struct{ line, answer string }{
	{"mem", "heap in use"}, {"stacks", "by identical stacks"}, {"fds", " unix "}, {"threads", "they wait in"},
	{"locals", "served"}, {"metrics /sched", "/sched/gomaxprocs"}, {"env", "PATH="}, {"help", "stacks [FLAGS]"},
	{"goroutine 1", "goroutine 1 [select"}, {"proc status", "VmRSS"}, {"build", "go1."}, {"print served", "int64"},
	{"sessions", "runs for"}, {"nonsense", "no command"}, {"gc", "collected in"}, {"stacks -go main", "goroutine"},
	{"profile goroutine", ""},
}

// soak runs the sessions with the numbers from+1 to to.
func (c *child) soak(t *testing.T, from, to int) {
	t.Helper()
	var next atomic.Int64
	next.Store(int64(from))
	failed := make(chan error, atOnce)
	var clients sync.WaitGroup
	for range atOnce {
		clients.Go(func() {
			for i := next.Add(1); i <= int64(to); i = next.Add(1) {
				command, script, exit := soakCommands[int(i)%len(soakCommands)], true, ""
				switch { // these take a tenth of a second, so they run less often
				case i%200 == 0:
					command.line, command.answer = "signals", "listens to: SIGUSR2"
				case i%40 == 1:
					script, exit = false, "exit\n"
				}
				out, err := c.among(i, script, command.line+"\n"+exit)
				if err == nil && !strings.Contains(out, command.answer) {
					err = fmt.Errorf("%q was answered %q", command.line, out)
				}
				if err != nil {
					failed <- fmt.Errorf("session %d: %w", i, err)
					return
				}
			}
		})
	}
	clients.Wait() // needs no deadline: each session has one, and a failure ends its client
	close(failed)
	require.NoError(t, <-failed, "%s", c.stderr)
}

// among runs a session while others run. Another client may take the window that this one
// has opened; then this one opens another.
func (c *child) among(i int64, script bool, input string) (string, error) {
	var own *net.UnixAddr
	if script {
		own = &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("@%s%d.%d", protocol.SocketPrefix, os.Getpid(), i)}
	}
	asked := time.Time{}
	var last error
	for over := time.Now().Add(patience); time.Now().Before(over); time.Sleep(100 * time.Microsecond) {
		if time.Since(asked) > 10*time.Millisecond {
			if err := c.Process.Signal(syscall.SIGUSR2); err != nil {
				return "", err
			}
			asked = time.Now()
		}
		conn, err := net.DialUnix("unix", own, &net.UnixAddr{Net: "unix", Name: c.path})
		if err != nil {
			last = err
			continue
		}
		out, err := talk(conn, script, input)
		conn.Close()
		if err == nil && !strings.HasPrefix(out, "oneshot: ") {
			return out, nil
		}
		if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			return "", err
		}
		if last = err; err == nil {
			last = errors.New(strings.TrimSpace(out))
		}
		asked = time.Time{}
	}
	return "", fmt.Errorf("after %v there was no window, or other clients took them all: %w", patience, last)
}

// talk sends input and returns all output. It removes the frames of a script's output.
func talk(conn *net.UnixConn, script bool, input string) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, input); err != nil {
		return "", err
	}
	out, err := io.ReadAll(conn)
	if err != nil || !script || strings.HasPrefix(string(out), "oneshot: ") {
		return string(out), err
	}
	text := ""
	for frames := protocol.NewReader(strings.NewReader(string(out))); ; {
		kind, payload, err := frames.Next()
		if err != nil || kind == protocol.End {
			return text, err
		}
		text += string(payload)
	}
}

// soaked counts what a program is made of. resident is in bytes.
type soaked struct{ goroutines, descriptors, threads, resident int }

// atRest waits until the program has no more than before, if before is given, or until it
// does not change. It returns what the program has.
func (c *child) atRest(t *testing.T, before *soaked) (now soaked) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", c.Process.Pid)
	settled := func() bool {
		last := now
		c.session(t, "freeosmem\nexit\n")
		now = soaked{goroutines: c.local(t, "atRest")}
		for dir, n := range map[string]*int{"fd": &now.descriptors, "task": &now.threads} {
			entries, err := os.ReadDir(proc + dir)
			require.NoError(t, err)
			*n = len(entries)
		}
		status, err := os.ReadFile(proc + "status")
		require.NoError(t, err)
		now.resident, err = strconv.Atoi(resident.FindStringSubmatch(string(status))[1])
		require.NoError(t, err)
		now.resident <<= 10
		if before != nil {
			return now.goroutines <= before.goroutines && now.descriptors <= before.descriptors && now.resident <= before.resident+growth
		}
		return now.goroutines == last.goroutines && now.descriptors == last.descriptors
	}
	for over := time.Now().Add(patience); !settled() && time.Now().Before(over); {
		time.Sleep(10 * time.Millisecond)
	}
	return now
}

var resident = regexp.MustCompile(`(?m)^VmRSS:\s+(\d+) kB$`)

// local returns the value of a local of the program.
func (c *child) local(t *testing.T, name string) int {
	t.Helper()
	out := c.session(t, "print "+name+"\nexit\n")
	found := regexp.MustCompile(`(?m)^>>> (?:int64\()?(\d+)\)?$`).FindStringSubmatch(out)
	require.NotNil(t, found, "%s", out)
	n, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	return n
}
