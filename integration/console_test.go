//go:build linux

package integration

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// terminal is a tmux with a shell in it.
type terminal struct {
	t      *testing.T
	socket string
}

func newTerminal(t *testing.T) *terminal {
	need(t, "tmux", "tmux")
	term := &terminal{t: t, socket: t.TempDir() + "/tmux"}
	t.Cleanup(term.kill)
	// The limit is that of new windows, hence two sessions. One is always there:
	// without any the server ends, and forgets the limit.
	term.tmux("new-session", "-d", "-s", "first")
	term.tmux("set-option", "-g", "history-limit", "100000")
	term.tmux("new-session", "-d", "-x", "200", "-y", "50", "env PS1='$ ' sh")
	term.tmux("kill-session", "-t", "first")
	return term
}

// kill ends the tmux, when the test has ended.
func (term *terminal) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = exec.CommandContext(ctx, "tmux", "-S", term.socket, "kill-server").Run() // there may be none
}

func (term *terminal) tmux(args ...string) string {
	term.t.Helper()
	out, err := testwait.Command(term.t, "tmux", append([]string{"-S", term.socket, "-f", "/dev/null"}, args...)...).CombinedOutput()
	require.NoError(term.t, err, "tmux %v: %s", args, out)
	return string(out)
}

// types sends a line as it is typed.
func (term *terminal) types(line string) {
	term.t.Helper()
	term.tmux("send-keys", "-l", line)
	term.tmux("send-keys", "Enter")
}

// text is all that was shown, lines that were too long for the terminal in one.
func (term *terminal) text() string {
	term.t.Helper()
	return strings.TrimRight(term.tmux("capture-pane", "-p", "-J", "-S", "-"), " \n")
}

// answer waits for the next prompt and returns the lines before it.
func (term *terminal) answer(before string) []string {
	term.t.Helper()
	var now string
	eventually(term.t, func() bool {
		now = term.text()
		return len(now) > len(before) && strings.HasPrefix(now, before) && strings.HasSuffix(now, "\n>>>")
	}, "no prompt after %q; the terminal shows:\n%s", before, lazily(&now))
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(now, before), "\n>>>"), "\n")
	return lines[1:] // the first is what was typed
}

// lazily prints a variable as it is when it is printed.
func lazily[T any](v *T) fmt.Stringer { return lazy[T]{v} }

type lazy[T any] struct{ v *T }

func (l lazy[T]) String() string { return fmt.Sprint(*l.v) }

// TestEveryCommandInATerminal types each command into nc in a terminal. Every
// line of the answer must be as expected: a regular expression for one line, or
// with "..." before it for one or more.
func TestEveryCommandInATerminal(t *testing.T) {
	need(t, "nc", "netcat-openbsd")
	term := newTerminal(t)
	dir := t.TempDir()
	program := filepath.Join(dir, "console")
	require.NoError(t, build(program, "../examples/console"))
	c := start(t, exec.Command(program), "nc -U")
	c.open(t)

	term.types("nc -U " + c.path)
	var shown string
	eventually(t, func() bool {
		shown = term.text()
		return strings.HasSuffix(shown, "\n>>>")
	}, "no prompt, but\n%s\nand the program says\n%s", lazily(&shown), c.stderr)
	require.Contains(t, term.text(), "by identical stacks")

	bytes := `[\d.]+ ([KMG]i)?B`
	typed := map[string]bool{}
	for _, test := range []struct {
		line  string
		lines []string
	}{
		{"help", []string{`...  .*`, `Ctrl-C .* stops a running command.*`}},
		{"help profile", []string{`profile \[NAME\] \[-seconds N\] \[-o FILE\]`, `take a profile .*`, `.*`, `.*`, `.*`, `  -seconds N .*`, `  -o FILE .*`}},
		{"stacks -n 1", []string{``, `\d+ goroutines in \d+ groups by identical stacks, \d+ of the manhole left out:`, ``, `\d+ \(\d+%\) .*`, `...    \S.*`, ``, `\d+ groups? more with \d+ goroutines?: stacks -n 0`, ``}},
		{"goroutine 1", []string{`goroutine 1 \[select\]:`, `github.com/gomanhole/oneshot.*Wait\(.*`, `...(main|\s+/).*|.*Wait.*`}},
		{"mem", []string{`heap in use  ` + bytes + `, .*`, `stacks       ` + bytes, `from system  ` + bytes + `.*`, `resident     ` + bytes, `collector .*`, `settings     GOGC 100, memory limit none`}},
		{"gc", []string{`collected in \S+; heap in use was ` + bytes + `, is ` + bytes}},
		{"freeosmem", []string{`it took \S+`, `heap in use  was ` + bytes + `, is ` + bytes, `from system  was .*`, `resident     was .*`}},
		{"setgc 150", []string{`GOGC was 100, is 150`}},
		{"setgc", []string{`GOGC is 150`}},
		{"memlimit 1GiB", []string{`memory limit was off, is 1.00 GiB \(1073741824B\)`}},
		{"memlimit off", []string{`memory limit was 1.00 GiB \(1073741824B\), is off`}},
		{"maxprocs", []string{`GOMAXPROCS is \d+`}},
		{"blockrate 1", []string{`block profile rate was not known, is 1`}},
		{"mutexfraction 1", []string{`mutex profile fraction was 0 \(off\), is 1`}},
		{"profile", []string{`cpu +where the program computes, .*`, `...(allocs|block|goroutine\w*|heap|mutex|threadcreate) +\d+  .*`, `take one with profile NAME -o FILE`}},
		{"profile cpu -seconds 1.5 -o " + dir + "/cpu.pb.gz", []string{`cpu profile: 1 of 1.5 s`, bytes + ` written to ` + dir + `/cpu.pb.gz`}},
		{"profile heap", []string{`profile: the answer is binary: profile heap -o FILE here, or oneshot PID profile heap > FILE from a shell`}},
		{"trace -seconds 0.1 -o " + dir + "/trace", []string{bytes + ` written to ` + dir + `/trace`}},
		{"metrics /sched/gomaxprocs", []string{`/sched/gomaxprocs:threads  \d+`, `The current runtime.GOMAXPROCS setting, .*`}},
		{"build", []string{`go +go1\S+`, `path +github.com/gomanhole/oneshot/examples/console`, `...(mod|dep|build) +\S+.*`}},
		{"env PATH", []string{`.*/.*`}},
		{"proc comm", []string{`console`}},
		{"proc exe", []string{`exe -> .*/console`}},
		{"fds -n 2", []string{`\d+ of \d+: .*\b1 unix.*`, `    0  \w+ +\w\w .*`, `    1  pipe +wo +pipe:\[\d+\].*`, `\d+ more: fds -n 0`}},
		{"threads -n 2", []string{`\d+ threads: .*`, `they wait in: .*`, ` +tid  state +user +system  cpu  wchan +name`, `... +\d+  [RSD] \w+ +[\d.]+s +[\d.]+s +\d+  \S+ +console.*`, `\d+ more: threads -n 0`}},
		{"signals", []string{`SigPnd [0-9a-f]{16}  pending, main thread: none`, `ShdPnd .*`, `SigBlk .*`, `SigIgn .*`, `SigCgt .*`, `listens to: .*SIGUSR2.*`,
			`SIGTERM     the program handles it`, `SIGINT      the program handles it`, `SIGHUP      nobody handles it.*`}},
		{"locals", []string{
			`began            time.Time            20\d\d-.*`,
			`cache            \*main.cache          \{mu: .*entries: map\[string\]string\{2 not read\}\}`,
			`conns            \[\]main.conn          len 2 \{main.conn\{Peer: "10.0.0.7", Idle: 12\}, main.conn\{.*`,
			`debug            slog.Level           -4 DEBUG`,
			`level            \*slog.LevelVar       .*`,
			`users            map\[string\]string    len 2 \{"1": "ada", "2": "grace"\}`,
		}},
		{"print conns", []string{`\[\]main.conn\{`, `  0: main.conn\{`, `    Peer: "10.0.0.7"`, `    Idle: 12`, `  \}`, `  1: main.conn\{`, `    Peer: "10.0.0.9"`, `    Idle: 340`, `  \}`, `\}`}},
		{"1234+2345", []string{`3579`}},
		{"cache.Len()", []string{`2`}},
		{"idle = filter(conns, .Idle > 60)", nil},
		{"idle[0].Peer", []string{`"10.0.0.9"`}},
		{"level.Set(debug)", nil},
		{"loglevel", []string{`log level is DEBUG`}},
		{"loglevel warn", []string{`log level was DEBUG, is WARN`}},
		{"flush", []string{`removed 2 users`}},
		{"nonsense", []string{`unknown name nonsense.*`, ` \| nonsense`, ` \| \^`}},
		{"sessions", []string{`\* pid \d+, uid \d+, nc, since .*, runs for \S+: sessions`}},
		{"stderr", []string{`standard error goes where the program sends it; stderr on has it come here`}},
		{"stderr on", []string{`standard error comes here until stderr off, or the end of the session`}},
		{"stderr off", []string{`standard error goes where it went before`}},
		{"deactivate", []string{`deactivate: the manhole is not active`}},
		{"history", []string{`   1  help`, `... +\d+  .*`}},
	} {
		before := term.text()
		typed[strings.Fields(test.line)[0]] = true
		term.types(test.line)
		lines := term.answer(before)
		if unexpected := firstUnexpected(lines, test.lines); unexpected != "" {
			require.Fail(t, "not as expected", "%s: %s\nin:\n%s", test.line, unexpected, strings.Join(lines, "\n"))
		}
	}
	before := term.text()
	typed["exit"], typed["quit"] = true, true // which are one
	term.types("exit")
	eventually(t, func() bool { return strings.HasSuffix(term.text(), "\n$") && len(term.text()) > len(before) }, "nc does not end")
	require.NoFileExists(t, c.path)

	for _, m := range regexp.MustCompile(`(?m)^  ([a-z]+)\b.*`).FindAllStringSubmatch(c.session(t, "help\n"), -1) {
		if !strings.HasPrefix(m[0], "     ") {
			require.True(t, typed[m[1]], "%s was not typed", m[1])
		}
	}
	require.Contains(t, pprofTop(t, dir+"/cpu.pb.gz"), "Type: cpu")
}

// firstUnexpected says which line is not as expected; empty: all are.
func firstUnexpected(lines, want []string) string {
	for i, pattern := range want {
		pattern, many := strings.CutPrefix(pattern, "...")
		re := regexp.MustCompile(`^(?:` + pattern + `)$`)
		if len(lines) == 0 {
			return "there is no line for " + pattern
		}
		n := 0
		rest := len(want) - i - 1 // lines that there must be for what follows
		for len(lines) > 0 && re.MatchString(lines[0]) && (n == 0 || many && len(lines) > rest) {
			lines = lines[1:]
			n++
		}
		if n == 0 {
			return "\"" + lines[0] + "\" is not " + pattern
		}
	}
	if len(lines) > 0 {
		return "more than expected: " + lines[0]
	}
	return ""
}

func pprofTop(t *testing.T, file string) string {
	t.Helper()
	out, err := runGo(nil, "tool", "pprof", "-top", file)
	require.NoError(t, err)
	return out
}
