//go:build linux

package integration

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryCommandInATerminal types each command into nc in a terminal. Every line of
// the answer must match. In lines, a regular expression is for one line. With "..." in
// front it is for one or more lines.
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
		{"help", []string{`...  .*`, `Ctrl-C stops a running command .*`}},
		{"help profile", []string{`profile \[NAME\] \[-seconds N\] \[-o FILE\]`, `take a profile .*`, `....*`, `  -seconds N .*`, `  -o FILE .*`, `  -json .*`}},
		{"stacks -n 1", []string{``, `Nothing stands out\. .*`, ``, `\d+ goroutines in \d+ groups by identical stacks, \d+ of the manhole left out:`, ``, `\d+ \w+.*`, `...    \S.*`, ``, `\d+ groups? more with \d+ goroutines?: stacks -n 0`, ``}},
		{"screen", []string{`CPU \d.*`, `goroutines \d.*`, `memory .*`, ``, `Nothing stands out\. .*`, ``, `\d+ goroutines in \d+ groups by identical stacks.*`, `....*`}},
		{"leaks", []string{`...leaks: this program was built with .*|this stops the program for .*|the longest stop was .*|none of .* is proved to be leaked`}},
		{"goroutine 1", []string{`goroutine 1 \[select\]:`, `github.com/gomanhole/oneshot.*Wait\(.*`, `...(main|\s+/).*|.*Wait.*`}},
		{"mem", []string{`heap in use  ` + bytes + `; .*`, `stacks       ` + bytes, `from system  ` + bytes + `.*`, `resident     ` + bytes, `collector .*`, `settings     GOGC 100, memory limit none`}},
		{"gc", []string{`collected in \S+; freed ` + bytes + `; heap in use ` + bytes}},
		{"freeosmem", []string{`it took \S+`, `heap in use  was ` + bytes + `, is ` + bytes, `from system  was .*`, `resident     was .*`}},
		{"setgc 150", []string{`GOGC was 100, is 150`}},
		{"setgc", []string{`GOGC is 150`}},
		{"memlimit 1GiB", []string{`memory limit was off, is 1.00 GiB \(1073741824B\)`}},
		{"memlimit off", []string{`memory limit was 1.00 GiB \(1073741824B\), is off`}},
		{"maxprocs", []string{`GOMAXPROCS is \d+`}},
		{"blockrate 1", []string{`block profile rate was not known, is 1`}},
		{"mutexfraction 1", []string{`mutex profile fraction was 0 \(off\), is 1`}},
		{"profile", []string{`cpu +where the program uses the CPU, .*`, `...(allocs|block|goroutine\w*|heap|mutex|threadcreate) +\d*  .*`, `take one with profile NAME -o FILE`}},
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
			`cache            \*main.cache          \{Flushes: atomic.Int64\(0\), mu: .*`,
			`conns            \[\]main.conn          len 2 \{main.conn\{Peer: "10.0.0.7", Idle: 12\}, main.conn\{.*`,
			`debug            slog.Level           -4`,
			`level            \*slog.LevelVar       LevelVar\(INFO\)`,
			`users            map\[string\]string    len 2 \{"1": "ada", "2": "grace"\}`,
		}},
		{"sections", []string{`the program has no sections of its own \(Options.Sections\)`}},
		{"print conns", []string{`\[\]main.conn\{`, `  0: main.conn\{`, `    Peer: "10.0.0.7"`, `    Idle: 12`, `  \}`, `  1: main.conn\{`, `    Peer: "10.0.0.9"`, `    Idle: 340`, `  \}`, `\}`}},
		{"1234+2345", []string{`3579`}},
		{"print cache", []string{`&main.cache\{`, `  Flushes: atomic.Int64\(0\)`, `...  .*`, `  entries: map\[string\]string\{2 not read\}`, `\}`, `not read: the program may be writing it; see help print`}},
		{"cache.Flushes", []string{`int64\(0\)`}},
		{"cache.entries", []string{`cache.entries: main.cache has no field entries, and methods are not called: .*`, ` \| cache.entries`, ` \| \.+\^`}},
		{"len(users)", []string{`2`}},
		{"idle = filter(conns, .Idle > 60)", nil},
		{"idle[0].Peer", []string{`"10.0.0.9"`}},
		{"level.Set(debug)", nil},
		{"loglevel", []string{`log level is DEBUG`}},
		{"loglevel warn", []string{`log level was DEBUG, is WARN`}},
		{"flush", []string{`removed 2 users`}},
		{"nonsense", []string{`unknown name nonsense.*`, ` \| nonsense`, ` \| \^`}},
		{"sessions", []string{`\* 1  pid \d+, uid \d+, nc, since .*, runs for \S+: sessions`}},
		{"stderr", []string{`standard error does not come here; stderr on sends a copy here`}},
		{"stderr on", []string{`standard error comes here until stderr off, or the end of the session`}},
		{"stderr off", []string{`standard error does not come here any more`}},
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
	typed["exit"], typed["quit"] = true, true // two names of one command
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

// firstUnexpected describes the first line that does not match. It returns "" if all
// lines match.
func firstUnexpected(lines, want []string) string {
	for i, pattern := range want {
		pattern, many := strings.CutPrefix(pattern, "...")
		re := regexp.MustCompile(`^(?:` + pattern + `)$`)
		if len(lines) == 0 {
			return "there is no line for " + pattern
		}
		n := 0
		rest := len(want) - i - 1 // lines that the other patterns need at least
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

// pprofTop returns what go tool pprof -top prints for a profile.
func pprofTop(t *testing.T, file string) string {
	t.Helper()
	out, err := runGo(nil, "tool", "pprof", "-top", file)
	require.NoError(t, err)
	return out
}
