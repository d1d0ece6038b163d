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

// TestTenThousandSessionsUnderLoad has 10,000 sessions with a program that
// serves requests all the time, each opened by a signal of its own, several at a
// time, with one command each, and some with a person's first screen before it.
// Goroutines, threads, descriptors, memory and files are afterwards what they
// were after the first 1,000, and the program serves.
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
	// The runtime ends none of its threads, and can need one more for every
	// session and command that happen to be in a system call at the same time.
	require.LessOrEqual(t, after.threads, before.threads+2*atOnce)
	// Sessions that left 500 bytes each would make it 4.3 MiB more. If they leave
	// none it is up to 2 MiB more or less, as the collector and the allocator have it.
	require.LessOrEqual(t, after.resident, before.resident+growth)
	require.Greater(t, c.local(t, "served"), served, "it serves no more")
	c.signal(t, syscall.SIGTERM) // a late signal may have opened a window
	require.Equal(t, syscall.SIGTERM, c.wait(t).Signal())
	left, err := filepath.Glob(c.path + ".*")
	require.NoError(t, err)
	require.NoFileExists(t, c.path)
	require.Empty(t, left)
}

// growth of the resident memory that is none, in bytes.
const growth = 4 << 20

// atOnce is how many clients there are at a time.
const atOnce = 4

// soakCommands are what the clients do, with something of the right answer.
var soakCommands = []struct{ line, answer string }{
	{"mem", "heap in use"}, {"stacks", "by identical stacks"}, {"fds", " unix "}, {"threads", "they wait in"},
	{"locals", "served"}, {"metrics /sched", "/sched/gomaxprocs"}, {"env", "PATH="}, {"help", "stacks [FLAGS]"},
	{"goroutine 1", "goroutine 1 [select"}, {"proc status", "VmRSS"}, {"build", "go1."}, {"print served", "int64"},
	{"sessions", "runs for"}, {"nonsense", "no command"}, {"gc", "collected in"}, {"stacks -go main", "goroutine"},
	{"profile goroutine", ""},
}

// soak has sessions up to a number.
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
				switch { // what takes a tenth of a second is done less often
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
	clients.Wait() // each session has a deadline, and the first failure of a client ends it
	close(failed)
	require.NoError(t, <-failed, "%s", c.stderr)
}

// among has a session among others, who may take the window that was opened:
// whoever is too late asks again.
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
	return "", fmt.Errorf("after %v there was no window, or never one for this client: %w", patience, last)
}

// talk sends input and returns all output, without frames.
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

// soaked is what a program is made of.
type soaked struct{ goroutines, descriptors, threads, resident int }

// atRest waits until the program is what it was before, if it is given, or does
// not change.
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

// local is a number that the program gives.
func (c *child) local(t *testing.T, name string) int {
	t.Helper()
	out := c.session(t, "print "+name+"\nexit\n")
	found := regexp.MustCompile(`(?m)^>>> (?:int64\()?(\d+)\)?$`).FindStringSubmatch(out)
	require.NotNil(t, found, "%s", out)
	n, err := strconv.Atoi(found[1])
	require.NoError(t, err)
	return n
}
