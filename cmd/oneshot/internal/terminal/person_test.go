//go:build linux

package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"
	"golang.org/x/term"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// terminalEnv makes the test binary another program. "client PATH" is a client that
// connects to the socket at PATH; "program PATH" is a program with a manhole, which
// SIGUSR2 opens at PATH.
const terminalEnv = "ONESHOT_TERMINAL_TEST_PROGRAM"

func init() {
	switch role, path, _ := strings.Cut(os.Getenv(terminalEnv), " "); role {
	case "program":
		_, err := oneshot.Install(oneshot.Options{
			OneshotOn: syscall.SIGUSR2, SocketPath: path, Locals: map[string]any{"cached": 4711},
		})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
		os.Exit(0)
	case "client":
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil {
			err = Interact(conn, os.Stdin, os.Stdout)
		}
		fmt.Printf("client: %v\n", err)
		os.Exit(0)
	}
}

// person is a person at a terminal, with a client.
type person struct {
	t     *testing.T
	tty   *os.File // the master
	slave *os.File
	cmd   *exec.Cmd
	width int

	before *term.State // of the terminal, before the client started

	mu  sync.Mutex // guards raw
	raw []byte
}

// startPerson starts a client that connects to the socket at path. argv, if there
// is one, is the command line of another program, which starts the client later.
func startPerson(t *testing.T, path string, env []string, argv ...string) *person {
	t.Helper()
	if len(argv) == 0 {
		argv = []string{os.Args[0]}
	}
	master, slave, err := pty.Open()
	require.NoError(t, err)
	require.NoError(t, pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: 80}))
	p := &person{t: t, tty: master, slave: slave, width: 80, cmd: testwait.Command(t, argv[0], argv[1:]...)}
	p.cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=1", "HOME="+t.TempDir(), "XDG_STATE_HOME=", terminalEnv+"=client "+path)
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = slave, slave, slave
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p.before = p.state()
	require.NoError(t, p.cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 32<<10)
		for {
			n, err := master.Read(buf)
			p.mu.Lock()
			p.raw = append(p.raw, buf[:n]...)
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		slave.Close()
		master.Close()
		testwait.Receive(t, read, "the end of the terminal")
	})
	return p
}

// types presses keys. It fails if the terminal does not accept them, because the
// client does not read.
func (p *person) types(keys string) {
	p.t.Helper()
	wrote := make(chan error, 1)
	go func() {
		_, err := p.tty.WriteString(keys)
		wrote <- err
	}()
	require.NoError(p.t, testwait.Receive(p.t, wrote, "the terminal accepts %q", keys))
}

func (p *person) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.raw)
}

// screen returns everything that the person has seen, as lines of text.
func (p *person) screen() string { return render(p.output(), p.width) }

// sees waits until the screen ends with text.
func (p *person) sees(text string) {
	p.t.Helper()
	p.waits(func(screen string) bool { return strings.HasSuffix(screen, text) }, text)
}

// saw waits until text is on the screen.
func (p *person) saw(text string) {
	p.t.Helper()
	p.waits(func(screen string) bool { return strings.Contains(screen, text) }, text)
}

func (p *person) waits(ok func(screen string) bool, text string) {
	p.t.Helper()
	clienttest.Poll(p.t, fmt.Sprintf("%q on the screen", text), func() (string, bool) {
		screen := p.screen()
		if ok(screen) {
			return "", true
		}
		return fmt.Sprintf("%s\nwritten: %q", screen, p.output()), false
	})
}

// ended waits until the client has ended, and returns the error of Interact as text.
func (p *person) ended() string {
	p.t.Helper()
	p.saw("client: ")
	require.NoErrorf(p.t, p.cmd.Wait(), "waited for: the end of the client; on the screen: %s", p.screen())
	p.waits(func(s string) bool { return strings.HasSuffix(s, "\n") }, "the end")
	_, result, _ := strings.Cut(p.screen(), "client: ")
	return strings.TrimSpace(result)
}

// state returns the state of the terminal.
func (p *person) state() *term.State {
	state, err := term.GetState(int(p.slave.Fd()))
	require.NoError(p.t, err)
	return state
}

var escapes = regexp.MustCompile("^\x1b\\[([0-9;]*)([A-Za-z])")

// render returns what a terminal of that width shows for the output s. It leaves
// out spaces at the ends of lines, except in the line of the cursor.
func render(s string, width int) string {
	rows, x, y, wrap := [][]rune{nil}, 0, 0, false
	row := func() []rune {
		for len(rows) <= y {
			rows = append(rows, nil)
		}
		for len(rows[y]) < width {
			rows[y] = append(rows[y], ' ')
		}
		return rows[y]
	}
	for s != "" {
		if m := escapes.FindStringSubmatch(s); m != nil {
			s = s[len(m[0]):]
			n, _ := strconv.Atoi(m[1])
			n = max(n, 1)
			switch m[2] {
			case "A":
				y = max(0, y-n)
			case "B":
				y += n
			case "C":
				x = min(width-1, x+n)
			case "D":
				x = max(0, x-n)
			case "H":
				x, y = 0, 0
			case "J":
				rows = [][]rune{nil}
			case "K":
				for r := row(); n > 0; n = 0 {
					copy(r[x:], []rune(strings.Repeat(" ", width-x)))
				}
			}
			wrap = wrap && m[2] == "m"
			continue
		}
		r := []rune(s[:min(len(s), 4)])[0]
		s = s[len(string(r)):]
		switch r {
		case '\r':
			x, wrap = 0, false
		case '\n':
			y++
			wrap = false
		default:
			if wrap {
				x, y, wrap = 0, y+1, false
			}
			row()[x] = r
			if wrap = x == width-1; !wrap {
				x++
			}
		}
	}
	row()
	var b strings.Builder
	for i, r := range rows {
		text := strings.TrimRight(string(r), " ")
		if i == y {
			text += strings.Repeat(" ", max(0, x-len([]rune(text))))
		}
		b.WriteString(text)
		if i < len(rows)-1 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// fakeSession is the program's end of a session. The test plays the program.
type fakeSession struct {
	t    *testing.T
	conn *net.UnixConn
}

// startFake starts a client whose session is played by the test.
func startFake(t *testing.T, env ...string) (*person, fakeSession) {
	t.Helper()
	path := filepath.Join(testwait.TempDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	defer l.Close()
	p := startPerson(t, path, env)
	s := p.accept(l)
	// Until the terminal is raw, Ctrl-C sends a signal.
	clienttest.Poll(t, "a raw terminal", func() (string, bool) {
		return fmt.Sprintf("it is as before; on it: %q", p.output()), !reflect.DeepEqual(p.before, p.state())
	})
	return p, s
}

// accept waits until the person's client connects.
func (p *person) accept(l *net.UnixListener) fakeSession {
	p.t.Helper()
	require.NoError(p.t, l.SetDeadline(time.Now().Add(testwait.Patience)))
	conn, err := l.AcceptUnix()
	require.NoErrorf(p.t, err, "waited for: the client connects; on the screen: %s", p.screen())
	p.t.Cleanup(func() { conn.Close() })
	return fakeSession{p.t, conn}
}

func (s fakeSession) says(text string) {
	s.t.Helper()
	require.NoError(s.t, s.conn.SetWriteDeadline(time.Now().Add(testwait.Patience)))
	_, err := s.conn.Write([]byte(text))
	require.NoError(s.t, err)
}

// gets requires that the client sends exactly this text next.
func (s fakeSession) gets(text string) {
	s.t.Helper()
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(testwait.Patience)))
	got := make([]byte, len(text))
	n, err := io.ReadFull(s.conn, got)
	require.Equalf(s.t, text, string(got[:n]), "what the client sends; the read ended with: %v", err)
	require.NoError(s.t, err)
}

// asked requires that the client sends a query about text next, and returns its id.
func (s fakeSession) asked(text string) (id string) {
	s.t.Helper()
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(testwait.Patience)))
	line := make([]byte, 1+protocol.IDSize+len(text)+1)
	n, err := io.ReadFull(s.conn, line)
	require.NoErrorf(s.t, err, "waited for: a query about %q; got %q", text, line[:n])
	id, got, ok := protocol.ParseQuery(string(line[:n-1]))
	require.True(s.t, ok && line[n-1] == '\n', "%q", line)
	require.Equal(s.t, text, got)
	return id
}

// answers requires a query about text, and answers it.
func (s fakeSession) answers(text string, words ...string) {
	s.t.Helper()
	s.says(protocol.Answer(s.asked(text), words))
}

// getsAfterInterrupts requires that the client sends this text next, behind any number
// of interrupts.
func (s fakeSession) getsAfterInterrupts(text string) {
	s.t.Helper()
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(testwait.Patience)))
	first := make([]byte, 1)
	for first[0] = ctrlC; first[0] == ctrlC; {
		_, err := io.ReadFull(s.conn, first)
		require.NoError(s.t, err)
	}
	require.Equal(s.t, text[:1], string(first))
	s.gets(text[1:])
}

// getsEnd requires that the client sends nothing more and closes its writing side.
func (s fakeSession) getsEnd() {
	s.t.Helper()
	require.NoError(s.t, s.conn.SetReadDeadline(time.Now().Add(testwait.Patience)))
	rest, err := io.ReadAll(s.conn)
	if !errors.Is(err, syscall.ECONNRESET) {
		require.NoErrorf(s.t, err, "waited for: the client sends no more; it sent %q", rest)
	}
	require.Empty(s.t, string(bytes.TrimSpace(rest)))
}
