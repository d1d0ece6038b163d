package dump

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
)

func TestShortPaths(t *testing.T) {
	app := &debug.BuildInfo{Path: "a.org/app/cmd/server", Main: debug.Module{Path: "a.org/app"}}
	for _, test := range []struct {
		info                 *debug.BuildInfo
		function, file, want string
	}{
		{app, "main.f", "/home/me/src/cmd/server/main.go", "cmd/server/main.go"},
		{app, "main.f", "a.org/app/cmd/server/main.go", "cmd/server/main.go"},  // -trimpath
		{app, "main.f", "/tmp/generated.go", "/tmp/generated.go"},              // a line directive
		{app, "a.org/app/orders.(*T).f", "C:/work/orders/t.go", "orders/t.go"}, // Windows
		{app, "a.org/app.f", "/home/me/src/app/app.go", "app.go"},              // the root of the module
		{app, "a.org/app/orders_test.f", "/src/app/orders/t_test.go", "orders/t_test.go"},
		{app, "a.org/app/yaml%2ev3.f", "/src/app/yaml.v3/y.go", "yaml.v3/y.go"}, // as the linker writes it
		{app, "a.org/application.f", "/src/application/a.go", "/src/application/a.go"},
		{app, "net/http.(*Server).Serve", "/usr/local/go/src/net/http/server.go", "net/http/server.go"},
		{app, "time.Sleep", "/usr/local/go/src/runtime/time.go", "runtime/time.go"},
		{app, "net/http.(*Server).Serve", "net/http/server.go", "net/http/server.go"},
		{app, "b.org/lib/v2.F", "/root/go/pkg/mod/b.org/lib/v2@v2.1.0/f.go", "b.org/lib/v2@v2.1.0/f.go"},
		{app, "b.org/lib.F", "b.org/lib@v1.1.0/f.go", "b.org/lib@v1.1.0/f.go"},
		{app, "b.org/lib.F", "/src/app/vendor/b.org/lib/f.go", "vendor/b.org/lib/f.go"},
		{app, "b.org/lib.F", "/home/me/src/lib/f.go", "/home/me/src/lib/f.go"}, // replaced by a folder
		{nil, "main.f", "/home/me/src/cmd/server/main.go", "/home/me/src/cmd/server/main.go"},
		{&debug.BuildInfo{Path: "command-line-arguments"}, "main.f", "/src/x.go", "/src/x.go"},
		{&debug.BuildInfo{Path: "command-line-arguments", Main: debug.Module{Path: "a.org/app"}}, "main.f", "/src/x.go", "/src/x.go"},
	} {
		require.Equal(t, test.want, newPaths(test.info).short(test.function, test.file), "%s in %s", test.function, test.file)
	}
}

func TestThePlaceInALine(t *testing.T) {
	for line, want := range map[string]place{
		"at main.f  /x/a.go:80":                             {"at ", "main.f", "/x/a.go", ":80"},
		"3 in chan send at main.f  C:/x/a.go:80, for up to": {"3 in chan send at ", "main.f", "C:/x/a.go", ":80, for up to"},
		"    main.(*T[...]).f  a.s:7":                       {"    ", "main.(*T[...]).f", "a.s", ":7"},
	} {
		p, ok := cutPlace(line)
		require.True(t, ok, line)
		require.Equal(t, want, p)
		require.Equal(t, line, p.String())
	}
	for _, line := range []string{"", "most are: 3 socket", "a  b", "  :7", "it may be held by goroutine 55, now in sleep:"} {
		_, ok := cutPlace(line)
		require.False(t, ok, line)
	}
}

func TestAPlaceFitsTheTerminal(t *testing.T) {
	spaces := func(n int) string { return strings.Repeat(" ", n) }
	for before, want := range map[string]struct {
		line  string
		lines []string
	}{
		spaces(24): {spaces(24) + "at a.org/app/orders.(*T).method  orders/store/file.go:80", []string{spaces(24) + "at a.org/app/orders.(*T).method  orders/store/file.go:80"}},
		spaces(25): {spaces(25) + "at orders.(*T).method  orders/store/file.go:80", []string{spaces(25) + "at orders.(*T).method  orders/store/file.go:80"}},
		spaces(40): {spaces(40) + "at orders.(*T).method  file.go:80", []string{spaces(40) + "at orders.(*T).method", spaces(44) + "orders/store/file.go:80"}},
		spaces(54): {spaces(54) + "at orders.(*T).method  ...", []string{spaces(54) + "at orders.(*T).method", spaces(58) + "file.go:80"}},
	} {
		p, ok := cutPlace(before + "at a.org/app/orders.(*T).method  orders/store/file.go:80")
		require.True(t, ok)
		require.Equal(t, want.line, p.fit())
		require.Equal(t, want.lines, p.lines())
	}
}

// Groups that differ only in the frames of libraries or in the depth of a recursion are
// one, unless all frames are asked for.
func TestGroupsThatLookAlmostTheSameAreOne(t *testing.T) {
	leaf := stack.Frame{Function: "main.walk", File: "/src/walk.go", Line: 7}
	walk := stack.Frame{Function: "main.walk", File: "/src/walk.go", Line: 9}
	root := stack.Frame{Function: "main.main", File: "/src/main.go", Line: 3}
	read := stack.Frame{Function: "os.(*File).Read", File: "/go/src/os/file.go", Line: 1}
	poll := stack.Frame{Function: "internal/poll.Read", File: "/go/src/internal/poll/fd.go", Line: 1}
	once := stack.Frame{Function: "sync.(*Once).Do", File: "/go/src/sync/once.go", Line: 1}
	s := groups(
		stack.Group{State: "IO wait", Count: 30, Frames: []stack.Frame{poll, read, leaf, root}},
		stack.Group{State: "IO wait", Count: 20, Frames: []stack.Frame{read, leaf, walk, walk, root}},
		stack.Group{State: "IO wait", Count: 10, Frames: []stack.Frame{poll, read, leaf, walk, once, walk, walk, walk, walk, root}},
		stack.Group{State: "sleep", Count: 5, Frames: []stack.Frame{read, leaf, root}},
		stack.Group{State: "IO wait", Count: 2, Frames: []stack.Frame{read, walk, root}},
	)
	d := newDump(Options{})
	selected := d.Selected(s)
	out := written(t, func(w *Writer) { w.view = d.look(); w.Groups(selected, 10, false) })
	require.Contains(t, out, "67 goroutines in 3 groups")
	require.Contains(t, out, "\n60 (89%) IO wait\n    os.(*File).Read (2 library frames)\n    main.walk  /src/walk.go:7\n    main.main  /src/main.go:3\n"+
		"    (3 stacks, which differ only in depth or in library frames: stacks -frames)\n")
	require.Contains(t, out, "\n5 (7%) sleep\n    os.(*File).Read  os/file.go:1\n    main.walk  /src/walk.go:7\n")

	d = newDump(Options{Frames: true, Paths: true})
	out = written(t, func(w *Writer) { w.view = d.look(); w.Groups(d.Selected(s), 10, false) })
	require.Contains(t, out, "67 goroutines in 5 groups")
	require.Contains(t, out, "\n10 (14%) IO wait\n    internal/poll.Read  /go/src/internal/poll/fd.go:1\n    os.(*File).Read  /go/src/os/file.go:1\n    main.walk  /src/walk.go:7\n"+
		"    main.walk  /src/walk.go:9\n    sync.(*Once).Do  /go/src/sync/once.go:1\n    main.walk x4  /src/walk.go:9\n")
	require.NotContains(t, out, "library frames")
}
