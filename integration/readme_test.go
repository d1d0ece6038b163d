//go:build linux

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// readmeCommands are the commands of README, in its order. The comments at their ends are
// not part of them.
var readmeCommands = []struct {
	line   string
	exempt string // why it is not run; or
	want   string // what its output contains
	in     string // module: in a new module; empty: anywhere
	stays  bool   // it runs until it is interrupted, in a terminal
}{
	{line: "git clone https://github.com/gomanhole/oneshot && cd oneshot", exempt: "it needs the network; the next one runs in a copy of this tree"},
	{line: "go run ./examples/trouble"}, // runs during all others
	{line: "go test -timeout 10m ./...", exempt: "this test is part of it"},
	{line: "go get github.com/gomanhole/oneshot", in: "module"},
	{line: "go install github.com/gomanhole/oneshot/cmd/oneshot@latest", in: "module"},
	{line: "go get -tool github.com/gomanhole/oneshot/cmd/oneshot", in: "module"},
	{line: "kill -USR2 PID; for i in 1 2 3 4 5; do nc -U /tmp/manhole-PID && break; sleep .1; done", want: "a lock in main.sessions"},
	{line: "oneshot ps", want: "SIGUSR2 oneshot"},
	{line: "oneshot PID", want: ">>> "},
	{line: "oneshot PID stacks -n 0 | less", want: "main.quote.func1"},
	{line: "oneshot PID profile heap > heap.pb.gz"},
	{line: "oneshot web PID heap", want: "http://", stays: true},
	{line: "oneshot top PID", want: "main.quote", stays: true},
	{line: "oneshot watch -when 'goroutines>300' -do stacks -times 1 PID", want: "stacks"},
	{line: "oneshot bundle -for 5s -o before.tar.gz PID", want: "before.tar.gz"},
	{line: "oneshot report before.tar.gz", want: "before.html"},
	{line: "oneshot diff before.tar.gz PID", want: "main.quote"},
	{line: "oneshot -outside PID", want: "a lock in main.sessions"},
}

// TestTheCommandsOfREADME runs what README says, as a newcomer would: with an empty home,
// in a copy of the tree, and with the module from a proxy. It compiles the program of
// README too.
func TestTheCommandsOfREADME(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	var lines, known []string
	for _, block := range blocks(text, "sh") {
		for line := range strings.Lines(block) {
			line, _, _ = strings.Cut(line, " # ")
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	for _, c := range readmeCommands {
		known = append(known, c.line)
		if c.exempt != "" {
			t.Logf("not run: %s: %s", c.line, c.exempt)
		}
	}
	require.Equal(t, known, lines, "each command of README is in the table of this test")
	need(t, "nc", "netcat-openbsd")
	need(t, "less", "less")

	home, bin := testwait.TempDir(t), testwait.TempDir(t)
	cache, err := testwait.Command(t, "go", "env", "GOCACHE").Output()
	require.NoError(t, err)
	env := append(published(t), "HOME="+home, "GOBIN="+bin, "PATH="+bin+":"+os.Getenv("PATH"), "GOCACHE="+strings.TrimSpace(string(cache)))
	r := reader{env: env, dir: home}
	programs := blocks(text, "go")
	require.Len(t, programs, 1)
	require.NoError(t, os.WriteFile(filepath.Join(home, "main.go"), []byte(programs[0]), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(home, "go.mod"), []byte("module example.com/program\n\ngo 1.26.0\n"), 0o600))
	for _, c := range readmeCommands {
		if c.in == "module" {
			r.ends(t, c.line)
		}
	}
	r.ends(t, "go build -o program . && go tool oneshot version")

	r.pid = r.startTrouble(t)
	for _, c := range readmeCommands {
		switch {
		case c.exempt != "", c.in == "module", strings.HasPrefix(c.line, "go run "):
		case c.stays:
			t.Run(c.line, func(t *testing.T) { r.stays(t, c.line, c.want) })
		default:
			t.Run(c.line, func(t *testing.T) { // a busy machine may need a second try
				eventually(t, func() bool { return strings.Contains(r.ends(t, c.line), c.want) }, "no %q", c.want)
			})
		}
	}
}

// blocks returns the blocks of a page that are in a language.
func blocks(text []byte, language string) (all []string) {
	for _, b := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```").FindAllSubmatch(text, -1) {
		all = append(all, string(b[1]))
	}
	return all
}

// reader is somebody who types what README says.
type reader struct {
	env []string
	dir string
	pid string // of the program
}

// command returns a command that may take as long as a go command: some build.
func (r *reader) command(t *testing.T, line string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), goTime)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "sh", "-c", strings.ReplaceAll(line, "PID", r.pid))
	cmd.Dir, cmd.Env, cmd.WaitDelay = r.dir, r.env, testwait.OutputTime
	return cmd
}

// ends runs a line that ends by itself, or with exit in a session.
func (r *reader) ends(t *testing.T, line string) string {
	t.Helper()
	cmd := r.command(t, line)
	cmd.Stdin = strings.NewReader("exit\n")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	return string(out)
}

// stays runs a line in a terminal until it has printed want.
func (r *reader) stays(t *testing.T, line, want string) {
	t.Helper()
	cmd := r.command(t, "exec "+line)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: 2 * columns})
	require.NoError(t, err)
	defer terminal.Close()
	shown := &testwait.Buffer{}
	go func() { _, _ = io.Copy(shown, terminal) }() // ends with the terminal
	eventually(t, func() bool { return strings.Contains(shown.String(), want) }, "no %q, but %s", want, shown)
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	testwait.Receive(t, ended, "%s to end", line)
}

// startTrouble runs the example in a copy of the tree, and returns the pid that it prints.
func (r *reader) startTrouble(t *testing.T) string {
	t.Helper()
	download := testwait.Command(t, "go", "mod", "download", "-json", module+"@"+release)
	download.Dir, download.Env = r.dir, r.env
	out, err := download.Output()
	require.NoError(t, err, "%s", out)
	var tree struct{ Dir string }
	require.NoError(t, json.Unmarshal(out, &tree))
	cmd := exec.Command("go", "run", "./examples/trouble")
	cmd.Dir, cmd.Env = tree.Dir, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	})
	require.NoError(t, stdout.(*os.File).SetReadDeadline(time.Now().Add(goTime)))
	for lines := bufio.NewReader(stdout); ; {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if _, rest, ok := strings.Cut(line, "kill -USR2 "); ok {
			pid, _, _ := strings.Cut(rest, ";")
			return pid
		}
	}
}
