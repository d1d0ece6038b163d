//go:build linux || darwin || freebsd

package eval

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// typed opens a session, sends lines and returns the output after the first screen.
func typed(t *testing.T, o oneshot.Options, lines string) string {
	t.Helper()
	o.SocketPath = filepath.Join(testwait.TempDir(t), "s")
	o.Logger = slog.New(slog.DiscardHandler)
	m, err := oneshot.Install(o)
	require.NoError(t, err)
	defer m.Uninstall()
	done := make(chan error, 1)
	go func() { done <- m.Oneshot(context.Background()) }()
	testwait.Eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "a window at %s", m.Path())
	conn, err := net.Dial("unix", m.Path())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(testwait.Patience)))
	_, err = io.WriteString(conn, lines)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.UnixConn).CloseWrite())
	var b bytes.Buffer
	_, err = b.ReadFrom(conn)
	require.NoErrorf(t, err, "waited for: the end of the session; read: %q", b.String())
	require.NoError(t, testwait.Receive(t, done, "the end of the window"))
	_, text, _ := strings.Cut(b.String(), ">>> ")
	return text
}

func TestExpressionsInSession(t *testing.T) {
	level := new(slog.LevelVar)
	o := oneshot.Options{
		Locals: map[string]any{
			"conns": func() any { return []conn{{Name: "a", Idle: 12}, {Name: "b", Idle: 340}} },
			"level": func() any { return level },
			"debug": slog.LevelDebug,
			"bad":   func() any { panic("oops") },
		},
		Commands: []oneshot.Command{Command()},
	}
	text := typed(t, o, "1234+2345\nlevel.Set(debug)\nfilter(conns, .Idle > 60)[0].Name\nx = len(conns)\nprint x\nx * 21\n"+
		"nosuch\nlen(bad)\n1 +\n\"a'b\"\n")
	require.Equal(t, "3579\n>>> >>> \"b\"\n>>> >>> 2\n>>> 42\n>>> "+
		"unknown name nosuch; there are bad, conns, debug, level, x (1:1)\n | nosuch\n | ^\n>>> "+
		"bad: its func panicked: oops\n>>> unexpected token EOF (1:3)\n | 1 +\n | ..^\n>>> \"a'b\"\n>>> ", text)
	require.Equal(t, slog.LevelDebug, level.Level())
	require.NotContains(t, typed(t, o, "x\n"), "2", "a session must not see the values that another one keeps")
}

// TestExpressionsOverLiveValues: only the flag -racy uses a value that the program
// may be writing. What an expression has kept is a copy, unless the flag was given.
func TestExpressionsOverLiveValues(t *testing.T) {
	c := &conn{Name: "a", Idle: 12, State: "open"}
	c.Hits.Store(5)
	o := oneshot.Options{
		Locals:   map[string]any{"live": c, "copied": func() any { return &conn{Name: "b", Idle: 3} }, "nothing": (func() any)(nil)},
		Commands: []oneshot.Command{Command()},
	}
	const refused = `\(live.FIELD\), or -racy EXPRESSION, which can end the program \(1:\d+\)\n \| .*\n \| \.*\^\n>>> `
	for _, test := range []struct{ line, answer string }{
		{"live.Idle + live.Hits.Load()", `17\n>>> `},
		{"live.Name", `live.Name cannot be used, since string is not a number or boolean: the program may be writing live; .*` + refused},
		{"x = live", `live is of type \*eval.conn: .*` + refused},
		{"-racy live.Name", `"a"\n>>> `},
		{" -racy  x = live", `>>> `},
		{"-racy live", `(?s)&eval.conn\{.*Name: "a".*\}\n>>> `},
		{"-racy live.Nome", `type eval.conn has no field Nome \(1:12\)\n \|       live\.Nome\n \| \.{11}\^`},
		{"copied.Name", `"b"\n>>> `},
		{"x = copied", `>>> `},
		{"nothing", `nothing is of type func\(\) interface \{\}: `},
		{"-racy", `unknown name racy`},
	} {
		require.Regexp(t, "^"+test.answer, typed(t, o, test.line+"\n"), test.line)
	}
	require.Regexp(t, `(?s)Name: "b".*"b"\n>>> $`, typed(t, o, "x = copied\nprint x\nx.Name\n"))
	require.Regexp(t, `(?s)^>>> .*not read: the program.*x.Name cannot be used`, typed(t, o, "-racy x = live\nprint x\nx.Name\n"))
	o.Locals["racy"] = 2
	require.Regexp(t, `^-1\n>>> `, typed(t, o, "-racy + 1\n"))
}

// TestRootPackageDoesNotLinkExpr shows that a program which does not import this
// package does not contain expr.
func TestRootPackageDoesNotLinkExpr(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("needs the go command")
	}
	deps := func(pkg string) string {
		out, err := testwait.Command(t, "go", "list", "-deps", pkg).Output()
		require.NoErrorf(t, err, "go list -deps %s", pkg)
		return string(out)
	}
	require.Contains(t, deps("."), "expr-lang", "otherwise this test shows nothing")
	for line := range strings.Lines(deps("..")) {
		path := strings.TrimSpace(line)
		std := !strings.Contains(strings.Split(path, "/")[0], ".")
		require.True(t, std || strings.HasPrefix(path, "golang.org/x/sys/") || strings.HasPrefix(path, "github.com/gomanhole/oneshot") ||
			strings.HasPrefix(path, "vendor/"), "the root package depends on %s", path)
	}
}
