//go:build linux

package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// Clients that are not as they should be. The program goes on serving, the next
// window opens, and nothing of them is left.

// visit opens a window and connects.
func (c *child) visit(t *testing.T) *net.UnixConn {
	t.Helper()
	c.signal(t, usr2)
	conn, err := net.Dial("unix", c.path)
	for end := time.Now().Add(patience); err != nil; conn, err = net.Dial("unix", c.path) {
		require.True(t, time.Now().Before(end), "no window after %v: %v; %s", patience, err, c.stderr)
		time.Sleep(50 * time.Microsecond) // a poll, but for thousands of visits
	}
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(2*patience)))
	return conn.(*net.UnixConn)
}

// hasEntered waits until the only client that has connected is inside; others
// may come then.
func (c *child) hasEntered(t *testing.T) {
	t.Helper()
	eventually(t, func() bool { _, err := os.Lstat(c.path); return os.IsNotExist(err) }, "nobody enters: %s", c.stderr)
}

// echoes is a program that serves, with a way to see that it does.
type echoes struct {
	*child
	own net.Conn
}

func startEcho(t *testing.T) echoes {
	t.Helper()
	path := filepath.Join(t.TempDir(), "own")
	c := startIn(t, "echo", path)
	own, err := net.Dial("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { own.Close() })
	return echoes{c, own}
}

func (e echoes) requireServing(t *testing.T) {
	t.Helper()
	require.NoError(t, e.own.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(e.own, "hello\n")
	require.NoError(t, err)
	_, err = io.ReadFull(e.own, make([]byte, len("hello\n")))
	require.NoError(t, err)
}

// peakMemory is VmHWM, in KiB.
func (c *child) peakMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	require.NoError(t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)
	kib, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return kib
}

func TestHostileClients(t *testing.T) {
	c := startEcho(t)
	for range 20 { // warms up
		c.session(t, "mem\nexit\n")
	}
	before := c.state(t)
	var all []byte // every byte value that neither ends a line nor interrupts
	for b := range 256 {
		if b != '\n' && b != 3 {
			all = append(all, byte(b), '\n')
		}
	}
	for _, test := range []struct {
		name     string
		sends    []byte // written while nothing is read
		endless  int    // or so many bytes without a line end, in front
		answered func(t *testing.T, out string)
	}{
		{name: "says nothing", answered: func(t *testing.T, out string) {
			require.Contains(t, out, "by identical stacks")
		}},
		{name: "does not read", sends: bytes.Repeat([]byte("help exit\nhelp\n"), 500), answered: func(t *testing.T, out string) {
			require.Equal(t, 500, strings.Count(out, "list the commands, or explain one"), "all of it was kept")
		}},
		{name: "sends 64 MiB without a line end", endless: 64 << 20, answered: func(t *testing.T, out string) {
			require.Contains(t, out, "the line has more than 65536 bytes and was not run")
		}},
		{name: "sends NULs", sends: append(make([]byte, 10_000), '\n'), answered: func(t *testing.T, out string) {
			require.Contains(t, out, `no command "\x00\x00`)
		}},
		{name: "sends every byte value", sends: all, answered: func(t *testing.T, out string) {
			const blank = 5 // tab, vertical tab, form feed, carriage return, space
			require.Equal(t, 254-blank, strings.Count(out, "no command"))
			require.Contains(t, out, `no command "\xff"`)
		}},
		{name: "sends interrupts", sends: bytes.Repeat([]byte{3}, 10_000), answered: func(t *testing.T, out string) {
			require.NotContains(t, out, "no command")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			memory := c.peakMemory(t)
			conn := c.visit(t)
			c.hasEntered(t)
			for chunk := bytes.Repeat([]byte("x"), 1<<20); test.endless > 0; test.endless -= len(chunk) {
				_, err := conn.Write(chunk)
				require.NoError(t, err)
			}
			_, err := conn.Write(test.sends)
			require.NoError(t, err)
			for range 3 { // it is still there
				c.requireServing(t)
				require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
			}
			_, err = io.WriteString(conn, "\ngc\nexit\n")
			require.NoError(t, err)
			out, err := io.ReadAll(conn)
			require.NoError(t, err)
			require.True(t, utf8.Valid(out))
			require.False(t, strings.ContainsFunc(string(out), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }), "%q", out)
			test.answered(t, string(out))
			require.Contains(t, string(out), "collected in", "the session has gone on")
			require.InDelta(t, memory, c.peakMemory(t), 32<<10, "KiB")
		})
	}
	t.Run("shuts down its reading side", func(t *testing.T) {
		conn := c.visit(t)
		c.hasEntered(t)
		require.NoError(t, conn.CloseRead())
		_, err := io.WriteString(conn, "gc\n")
		if err != nil { // it is the session's end already
			require.ErrorIs(t, err, syscall.EPIPE)
		}
		eventually(t, func() bool {
			return !strings.Contains(c.session(t, "sessions\nexit\n"), "at the prompt")
		}, "the session stays: %s", c.stderr)
		require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	})
	c.requireState(t, before)
}

// requireState waits for the program to have what it had before.
func (c *child) requireState(t *testing.T, before state) {
	t.Helper()
	var now state
	eventually(t, func() bool {
		now = c.state(t)
		return now.goroutines <= before.goroutines+1 && now.descriptors <= before.descriptors && now.threads <= before.threads+4
	}, "something is left: %+v, %+v before", &now, before)
}

// TestAHundredThousandCommandsAtOnce: all are answered.
func TestAHundredThousandCommandsAtOnce(t *testing.T) {
	t.Parallel()
	const commands = 100_000
	c := startEcho(t)
	conn := c.visit(t)
	var sent atomic.Value
	go func() {
		_, err := io.WriteString(conn, strings.Repeat("x\n", commands)+"exit\n")
		sent.Store(fmt.Sprint(err))
	}()
	answers := 0
	lines := bufio.NewScanner(conn)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "no command") {
			answers++
		}
		if answers == commands/2 {
			c.requireServing(t)
		}
	}
	require.Equal(t, commands, answers, "sent: %v, received: %v", sent.Load(), lines.Err())
	require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
}

// TestAClientThatLeavesAfterEveryByte reads so many bytes and closes, for every
// length of the output.
func TestAClientThatLeavesAfterEveryByte(t *testing.T) {
	t.Parallel()
	c := startEcho(t)
	for range 20 { // warms up
		c.session(t, "mem\nexit\n")
	}
	before := c.state(t)
	whole := len(c.session(t, "help exit\nexit\n"))
	for n := 0; n <= whole; n += whole / fewer(whole) {
		for over := time.Now().Add(patience); ; { // at most eight sessions at a time, and the last ones may be ending
			conn := c.visit(t)
			_, err := io.WriteString(conn, "help exit\n")
			require.NoError(t, err)
			if n == 0 { // else the next signal may come while this window is open, and open none
				c.hasEntered(t)
			}
			read := make([]byte, n)
			got, err := io.ReadFull(conn, read)
			conn.Close()
			// Whoever reads nothing does not see whether it is refused.
			if refused := "oneshot: "; got > 0 && strings.HasPrefix(refused, string(read[:min(got, len(refused))])) {
				require.True(t, time.Now().Before(over), "refused for %v: %s", patience, read[:got])
				continue
			}
			// The output varies by a few bytes, and the last of it may not come.
			if err != nil && n < whole-200 {
				require.NoError(t, err, "after %d of %d bytes: %s", got, n, read)
			}
			break
		}
	}
	c.requireServing(t)
	require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	c.requireState(t, before)
}

// TestAClientThatReadsAByteASecond: for a few seconds, with more to read than a
// socket holds. Nothing is held up, and then nothing is missing.
func TestAClientThatReadsAByteASecond(t *testing.T) {
	t.Parallel()
	c := startEcho(t)
	conn := c.visit(t)
	const helps = 400
	_, err := io.WriteString(conn, strings.Repeat("help\n", helps)+"exit\n")
	require.NoError(t, err)
	var out bytes.Buffer
	for range 3 {
		_, err := io.CopyN(&out, conn, 1)
		require.NoError(t, err)
		for wait := time.Now().Add(time.Second); time.Now().Before(wait); {
			c.requireServing(t)
			require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
		}
	}
	_, err = io.Copy(&out, conn)
	require.NoError(t, err)
	require.Equal(t, helps, strings.Count(out.String(), "list the commands, or explain one"))
	require.Contains(t, out.String(), "by identical stacks")
	require.Greater(t, out.Len(), 512<<10, "it did not fit into the socket")
}

// clients has so many clients of a user connect at once, and returns how many
// had which answer.
func (c *child) clients(t *testing.T, uid, n int, more ...string) map[string]int {
	t.Helper()
	argv := append([]string{plain(t, "./program"), "clients", strconv.Itoa(n), c.path}, more...)
	if uid != os.Geteuid() {
		argv = as(uid, argv...)
	}
	out, err := testwait.Command(t, argv[0], argv[1:]...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	count := map[string]int{}
	for line := range strings.Lines(string(out)) {
		number, answer, _ := strings.Cut(strings.TrimSpace(line), " ")
		count[answer], err = strconv.Atoi(number)
		require.NoError(t, err, "%s", out)
	}
	return count
}

const thousand = 1000

// TestAThousandClientsAtOnce: one of them enters.
func TestAThousandClientsAtOnce(t *testing.T) {
	t.Parallel()
	c := startEcho(t)
	for range 20 { // warms up
		c.session(t, "mem\nexit\n")
	}
	before := c.state(t)
	for _, held := range [][]string{nil, {strconv.Itoa(c.Process.Pid)}} { // the second time, until the queue is full
		c.open(t)
		answers := c.clients(t, os.Geteuid(), thousand, held...)
		require.Equal(t, 1, answers["entered"], "%v", answers)
		const late = "oneshot: too late, the window is closed: another client has entered"
		told := 1 + answers[late]
		if held != nil {
			require.Greater(t, told, 100, "%v", answers)
		}
		for _, errno := range []syscall.Errno{
			syscall.ENOENT,       // it came after the path was gone,
			syscall.ECONNREFUSED, // or waited for a place in the queue,
			syscall.ECONNRESET,   // or came to it as it was closed
		} {
			told += answers[errno.Error()]
		}
		require.Equal(t, thousand, told, "each knows why: %v", answers)
		c.requireServing(t)
	}
	require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	c.requireState(t, before)
}

// TestAThousandClientsOfAnotherUser: none of them enters, nor keeps out who may.
func TestAThousandClientsOfAnotherUser(t *testing.T) {
	needRoot(t)
	t.Parallel()
	c := startEcho(t)
	for range 20 { // warms up
		c.session(t, "mem\nexit\n")
	}
	before := c.state(t)
	c.open(t)
	require.Equal(t, map[string]int{syscall.EACCES.Error(): thousand}, c.clients(t, bob, thousand), "the mode keeps them out")

	require.NoError(t, os.Chmod(c.path, 0o666))
	const refused = "oneshot: refused: uid 12346 is neither the process's uid 0 nor root"
	require.Equal(t, map[string]int{refused: thousand}, c.clients(t, bob, thousand))
	lost := regexp.MustCompile(`lost.*records=(\d+)`)
	eventually(t, func() bool { // a log that is too slow says how many records it has left out
		log := c.stderr.String()
		n := strings.Count(log, "client refused")
		for _, m := range lost.FindAllStringSubmatch(log, -1) {
			left, _ := strconv.Atoi(m[1])
			n += left
		}
		return n == thousand
	}, "not all are logged: %s", c.stderr)
	require.FileExists(t, c.path, "the window is not used up")

	// They keep on coming, and root enters all the same.
	argv := as(bob, plain(t, "./program"), "flood", c.path)
	flood := start(t, exec.Command(argv[0], argv[1:]...), "ready")
	eventually(t, func() bool {
		return strings.Count(c.stderr.String(), "client refused") > thousand+100
	}, "no flood: %s", flood.stderr)
	answers := c.clients(t, 0, 1)
	require.Equal(t, map[string]int{"entered": 1}, answers)
	require.NoError(t, flood.Process.Kill())
	flood.wait(t)
	c.requireServing(t)
	require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
	c.requireState(t, before)
}

// TestClientsWithoutAPid: one that the program cannot see, and one that has
// ended before it is let in.
func TestClientsWithoutAPid(t *testing.T) {
	t.Run("in another namespace", func(t *testing.T) {
		needRoot(t)
		need(t, "unshare", "util-linux")
		if out, err := testwait.Command(t, "unshare", "--pid", "--fork", "true").CombinedOutput(); err != nil {
			t.Skipf("needs unshare --pid: %v: %s", err, out)
		}
		cmd := exec.Command(plain(t, "./program"), "deadlocked")
		path := filepath.Join(t.TempDir(), "s")
		cmd.Env = append(os.Environ(), "MANHOLE_PATH="+path)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
		c := start(t, cmd, "ready")
		c.path = path
		out := c.session(t, "sessions\nexit\n")
		require.Contains(t, out, "program, pid 1, ", "its own pid, in its namespace")
		require.Contains(t, out, "you are pid 0, uid 0; help")
		require.Contains(t, out, ">>> * pid 0, uid 0, since")
		eventually(t, func() bool { return strings.Contains(c.stderr.String(), "session closed") }, "not logged: %s", c.stderr)
		require.Contains(t, c.stderr.String(), "oneshot: session open pid=0 uid=0")
	})
	t.Run("that has ended", func(t *testing.T) {
		c := startEcho(t)
		for range 20 { // warms up
			c.session(t, "mem\nexit\n")
		}
		before := c.state(t)
		for range 20 {
			c.open(t)
			c.signal(t, syscall.SIGSTOP) // so that it comes to know the client later
			gone := testwait.Command(t, plain(t, "./program"), "gone", c.path)
			out, err := gone.CombinedOutput()
			require.NoError(t, err, "%s", out)
			c.signal(t, syscall.SIGCONT)
			closed := fmt.Sprintf("oneshot: session closed pid=%d uid=%d ", gone.Process.Pid, os.Geteuid())
			eventually(t, func() bool { return strings.Contains(c.stderr.String(), closed) }, "%s is not logged: %s", closed, c.stderr)
		}
		require.Regexp(t, `session closed .*reason="`, c.stderr.String())
		require.Contains(t, c.session(t, "gc\nexit\n"), "collected in")
		c.requireState(t, before)
	})
}
