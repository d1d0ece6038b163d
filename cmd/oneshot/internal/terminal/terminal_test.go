//go:build linux

package terminal

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestEditLine(t *testing.T) {
	p, s := startFake(t)
	s.says("hello\n>>> ")
	p.sees("hello\n>>> ")
	p.types("stcks\x1b[D\x1b[D\x1b[Da")
	p.saw(">>> stacks")
	p.types("\r")
	s.gets("stacks\n")
	s.says("output\n>>> ")
	p.sees(">>> stacks\noutput\n>>> ")

	p.types("xb\x01\x1b[3~\x1b[4~c\x1bx\x1b[200~\xff\x1b[99Z") // keys without a meaning are ignored
	p.sees(">>> bc")
	p.types("\x1b[1~exit #\r")
	s.gets("exit #bc\n")
	s.conn.Close()
	require.Equal(t, "<nil>", p.ended())
}

func TestOutputAppearsAboveTheLine(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("sta")
	p.sees(">>> sta")
	s.says("log: one\n")
	p.sees("log: one\n>>> sta")
	s.says("log: two, ")
	p.sees("log: one\nlog: two,\n>>> sta")
	s.says("three\n")
	p.sees("three\n>>> sta")
	p.types("cks\r")
	s.gets("stacks\n")
	s.says("1 of 2\n")
	p.sees("three\n>>> stacks\n1 of 2\n")

	// A line that is typed while a command runs stays on the screen, and is shown again when the session runs it.
	p.types("mem")
	p.sees("1 of 2\nmem")
	s.says("2 of 2\n")
	p.sees("1 of 2\n2 of 2\nmem")
	p.types("\r")
	s.gets("mem\n")
	p.types("g")
	s.says("done\n>>> ")
	p.sees("2 of 2\nmem\ndone\n>>> mem\ng")
	s.says("heap 1\n>>> ")
	p.sees("done\n>>> mem\nheap 1\n>>> g")
	p.types("c\r")
	s.gets("gc\n")
	p.types("mem\x01") // with the cursor at the start
	p.saw(">>> gc\nmem")
	s.says(">>> ")
	p.saw(">>> gc\n>>> mem")
}

func TestPromptInsideOutputIsNotAPrompt(t *testing.T) {
	p, s := startFake(t)
	s.says("a >>> b\n>>> c\n>>")
	p.saw("a >>> b\n>>> c\n")
	s.says("> ")
	p.sees(">>> c\n>>> ")
	p.types("x\r")
	s.gets("x\n")
	s.says("d >>> ")
	p.sees(">>> x\nd >>> ")
	p.types("exit\r")
	s.gets("exit\n")
	s.conn.Close()
	require.Equal(t, "<nil>", p.ended())
}

func TestCtrlCDropsTheLine(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("abc\x1b\x03")
	s.gets("\x03")
	p.saw("^C\n")
	s.says(">>> ")
	p.sees("^C\n>>> ")
	p.types("\x03\x03")
	s.gets("\x03")        // the other one is sent too if the first was sent before it came
	p.saw("^C\n>>> ^C\n") // before these keys, too, the screen ended with ^C and a prompt
	s.says(">>> >>> ")
	p.sees("^C\n>>> ")
	p.types("def\r")
	s.getsAfterInterrupts("def\n")

	// A line that was typed before Ctrl-C is never sent after it.
	p.types("ahead\r\x03")
	buf := make([]byte, 16)
	require.NoError(t, s.conn.SetReadDeadline(time.Now().Add(testwait.Patience)))
	n, err := s.conn.Read(buf)
	require.NoError(t, err)
	require.Contains(t, []string{"\x03", "ahead\n\x03", "ahead\n"}, string(buf[:n]))
	if string(buf[:n]) == "ahead\n" {
		s.gets("\x03")
	}
	p.sees("^C\n") // the client sends 0x03 before it shows ^C
	s.says("interrupted\n>>> ")
	p.sees("interrupted\n>>> ")
	p.types("mem\r")
	s.gets("mem\n")
}

func TestCtrlDLeaves(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("ab\x01\x04") // in a line with text, Ctrl-D deletes a character
	p.sees(">>> b")
	p.types("\x7f\x05\x15\x04")
	s.getsEnd()
	s.says("the rest\n>>> ")
	s.conn.Close()
	require.Equal(t, "<nil>", p.ended())
	require.Contains(t, p.screen(), ">>>\nthe rest\nclient: <nil>\n")
	require.Equal(t, p.before, p.state())
}

func TestSenderDiscardsLinesTypedBeforeCtrlC(t *testing.T) {
	s := newSender(nil)
	require.True(t, s.line("a", 0))
	s.interrupt()
	require.True(t, s.line("b", 0))
	require.True(t, s.line("c", 1))
	require.Equal(t, "\x03c\n", string(s.unsent))
	require.False(t, s.line(strings.Repeat("x", maxUnsent), 1))
}

// A session that does not end can be left with Ctrl-D and then Ctrl-C, or with Ctrl-\.
func TestLeaveSessionThatDoesNotEnd(t *testing.T) {
	p, s := startFake(t)
	s.says("no prompt ever")
	p.saw("no prompt ever")
	p.types("\x04")
	s.getsEnd()
	p.types("\x03")
	require.Equal(t, "<nil>", p.ended())

	p, s = startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("stacks\x1c")
	require.Equal(t, "<nil>", p.ended())
}

func TestProgramEndsTheSession(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	require.NotEqual(t, p.before, p.state())
	p.types("ab")
	p.sees(">>> ab")
	s.conn.Close()
	require.Equal(t, errEnded.Error(), p.ended())
	require.Contains(t, p.screen(), ">>> ab\nclient: ")
	require.Equal(t, p.before, p.state())
}

func TestTerminalIsRestoredAfterSignal(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		p, s := startFake(t)
		s.says(">>> ")
		p.sees(">>> ")
		require.NotEqual(t, p.before, p.state())
		require.NoError(t, p.cmd.Process.Signal(sig))
		_ = p.cmd.Wait() // Wait has a deadline; the status is checked below
		status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		require.True(t, status.Signaled() && status.Signal() == sig, "after %v: %v; on the screen: %s", sig, p.cmd.ProcessState, p.screen())
		require.Equal(t, p.before, p.state())
	}
}

type faultyHistory struct{}

func (faultyHistory) Add(string)    { panic("a fault") }
func (faultyHistory) Len() int      { return 0 }
func (faultyHistory) At(int) string { return "" }

func TestTerminalIsRestoredAfterPanic(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	for name, fault := range map[string]func(*dialog){
		"in a callback":  func(d *dialog) { d.complete = nil },
		"in the history": func(d *dialog) { d.editor.History = faultyHistory{} },
	} {
		t.Run(name, func(t *testing.T) { panics(t, fault) })
	}
}

func panics(t *testing.T, fault func(*dialog)) {
	master, slave, err := pty.Open()
	require.NoError(t, err)
	defer master.Close()
	defer slave.Close()
	go io.Copy(io.Discard, master) //nolint:errcheck // until it is closed
	ends, err := net.FileConn(socketPair(t))
	require.NoError(t, err)
	p := &person{t: t, slave: slave}
	p.before = p.state()
	tty, err := takeTTY(slave, slave)
	require.NoError(t, err)
	panicked := make(chan any, 1)
	go func() {
		defer func() { panicked <- recover() }()
		defer tty.closeWake()
		defer tty.restore(true)
		d := newDialog(ends.(*net.UnixConn), tty)
		fault(d)
		_, _ = master.WriteString("a\t\r")
		if o := d.run(); o.panicked != nil {
			panic(o.panicked)
		}
	}()
	require.NotNil(t, testwait.Receive(t, panicked, "the end of the dialog"), "it did not panic")
	require.Equal(t, p.before, p.state())
}

func socketPair(t *testing.T) *os.File {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	require.NoError(t, err)
	one, other := os.NewFile(uintptr(fds[0]), "one"), os.NewFile(uintptr(fds[1]), "other")
	t.Cleanup(func() { one.Close(); other.Close() })
	return one
}

func TestOutputCannotControlTheTerminal(t *testing.T) {
	p, s := startFake(t)
	s.says("a\x1b]0;title\x07b\x1b[2Jc\rd\xc2\x9be\xff\tf\u202eg ü\n>>> ")
	p.sees("\n>>> ")
	require.Contains(t, p.screen(), `a\x1b]0;title\x07b\x1b[2Jc\x0dd\u009be\xff`)
	require.Contains(t, p.screen(), `f\u202eg ü`)
	require.NotContains(t, p.output(), "\x1b]")
	require.NotContains(t, p.output(), "\x1b[2J")
	require.NotContains(t, p.output(), "\x1b[1m", "NO_COLOR is set")
}

func TestColours(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want bool
	}{{[]string{"NO_COLOR="}, true}, {[]string{"NO_COLOR=", "TERM=dumb"}, false}, {[]string{"NO_COLOR=1"}, false}} {
		p, s := startFake(t, c.env...)
		s.says("x\n" + heading + "\n>>> ")
		p.sees(heading + "\n>>> ")
		p.types("abc")
		p.sees(">>> abc")
		require.Equal(t, c.want, strings.Contains(p.output(), bold+heading+plain))
		require.Equal(t, c.want, strings.Contains(p.output(), bold+">>> "+plain))
	}
}

func TestWindowIsResized(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	require.NoError(t, pty.Setsize(p.tty, &pty.Winsize{Rows: 24, Cols: 30}))
	p.width = 30
	// The line editor knows the new width when it wraps lines there.
	typed := 0
	clienttest.Poll(t, "a line that is wrapped after 30 columns", func() (string, bool) {
		var out string
		p.types(strings.Repeat("x", 40))
		typed += 40
		clienttest.Poll(t, "the line that was typed", func() (string, bool) {
			out = p.output()
			return fmt.Sprintf("%q", out), strings.Count(out, "x") >= typed
		})
		p.types("\x15")
		return fmt.Sprintf("%q", out), strings.Contains(out, strings.Repeat("x", 26)+"\r\n")
	})
	p.sees(">>> \n") // the second line is empty now
	p.types(strings.Repeat("y", 40) + "z")
	p.saw(">>> " + strings.Repeat("y", 26) + "\n" + strings.Repeat("y", 14) + "z")
	s.says("in between\n")
	p.saw("in between\n>>> " + strings.Repeat("y", 26) + "\n" + strings.Repeat("y", 14) + "z")
}

// Lines are broken between words, at the width that the window has.
func TestLinesAreWrappedToTheWindow(t *testing.T) {
	p, s := startFake(t)
	s.says("60 goroutines wait at main.go\n    main.function  directory/file.go:12\n>>> ")
	p.sees("60 goroutines wait at main.go\n    main.function  directory/file.go:12\n>>> ")
	require.NoError(t, pty.Setsize(p.tty, &pty.Winsize{Rows: 24, Cols: 26}))
	p.width = 26
	p.types("stacks\r")
	s.gets("stacks\n")
	s.says("60 goroutines wait at main.go\n    main.function  directory/file.go:12\n>>> ")
	p.sees(">>> stacks\n60 goroutines wait at\n  main.go\n    main.function\n      directory/file.go:12\n>>> ")
}

func TestHistoryOfAnEarlierSession(t *testing.T) {
	home := t.TempDir()
	p, s := startFake(t, "HOME="+home)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("stacks -n 3\r secret\rmem\rmem\r")
	s.gets("stacks -n 3\n secret\nmem\nmem\n")
	p.types("\x1b[A\x1b[A")
	p.sees("stacks -n 3")
	p.types("\x15\x04")
	s.getsEnd()
	s.conn.Close()
	require.Equal(t, "<nil>", p.ended())
	file := filepath.Join(home, ".local/state/oneshot/history")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "stacks -n 3\nmem\n", string(text))

	p, s = startFake(t, "HOME="+home)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("\x1b[A\x1bOA")
	p.sees(">>> stacks -n 3")
	p.types("0\r")
	s.gets("stacks -n 30\n")
}

func TestCtrlZ(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash; install it")
	}
	path := filepath.Join(testwait.TempDir(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	require.NoError(t, err)
	defer l.Close()
	p := startPerson(t, path, []string{"PS1=shell: "}, bash, "--norc", "--noediting", "-i")
	p.saw("shell: ")
	p.types(os.Args[0] + "\n")
	s := p.accept(l)
	s.says(">>> ")
	p.sees(">>> ")
	raw := p.state()
	p.types("sta\x1a")
	p.saw("Stopped")
	p.sees("shell: ")
	p.types("echo $((6*7))\n")
	p.saw("\n42\n")
	require.NotEqual(t, raw, p.state())
	p.types("fg\n")
	p.sees(">>> sta")
	require.Equal(t, raw, p.state())
	p.types("cks\r")
	s.gets("stacks\n")
	p.types("\x04")
	s.getsEnd()
	s.conn.Close()
	p.saw("client: <nil>")
	p.sees("shell: ")
	p.types("exit\n")
}

// Without a shell that can continue the client, Ctrl-Z does nothing.
func TestCtrlZWithoutAShell(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("st\x1aa\r")
	s.gets("sta\n")
}

func TestLargeOutputIsStreamed(t *testing.T) {
	p, s := startFake(t)
	sent := make(chan error, 1)
	require.NoError(t, s.conn.SetWriteDeadline(time.Now().Add(testwait.Patience)))
	go func() {
		piece := strings.Repeat("x", 1<<20)
		for range 8 {
			if _, err := io.WriteString(s.conn, piece); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	p.types("\x03")
	s.gets("\x03")
	require.NoError(t, testwait.Receive(t, sent, "the client reads all the output"))
	s.says("end\n>>> ")
	clienttest.Poll(t, "the prompt after the large output", func() (string, bool) {
		out := p.output()
		return fmt.Sprintf("%d bytes, the last %q", len(out), out[max(0, len(out)-100):]), strings.HasSuffix(out, ">>> ")
	})
	require.Equal(t, 8<<20, strings.Count(p.output(), "x"))
	p.types("\x04")
	s.getsEnd()
}

// A profile of a real program is stopped while a line is being typed.
func TestSessionOfRealProgram(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "s")
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), terminalEnv+"=program "+path)
	clienttest.StartReady(t, program)
	require.NoError(t, program.Process.Signal(syscall.SIGUSR2))
	clienttest.PollForFile(t, path)

	p := startPerson(t, path, nil)
	p.saw("help lists the commands\n")
	p.sees("\n>>> ")
	profile := filepath.Join(testwait.TempDir(t), "cpu")
	p.types("prof\tcp\t-sec\t30 -o " + profile + "\r")
	p.saw(">>> profile cpu -seconds 30 -o " + profile)
	p.types("sess")
	p.saw("\ncpu profile: 2 of 30 s\n")
	require.NotContains(t, p.screen(), "1 of 30 s", "there is one line")
	p.sees("sess")
	p.types("\x03")
	p.saw("sess^C\n")
	p.sees("\n>>> ")
	require.Contains(t, p.screen(), "written to "+profile+"\ninterrupted: it has what was recorded until then\n")
	require.FileExists(t, profile)
	p.types("sess\t\r")
	p.saw("* 1  pid")
	p.sees("\n>>> ")
	p.types("pri\tca\t") // the program knows its values
	p.sees("\n>>> print cached ")
	p.types("\r")
	p.saw("4711")
	p.sees("\n>>> ")
	p.types("\x04")
	require.Equal(t, "<nil>", p.ended())
	require.Equal(t, p.before, p.state())
}
