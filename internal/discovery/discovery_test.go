package discovery

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/stretchr/testify/require"
)

const mapped = "7f280921b000-7f280921c000 r--p 00000000 00:01 21621                      "

func FuzzParseNotice(f *testing.F) {
	f.Add([]byte(mapped + "/memfd:oneshot:v1 signal=SIGUSR2 activate=SIGUSR1 path=/tmp/manhole-%p (deleted)\n"))
	f.Add([]byte(mapped + `/memfd:oneshot:v1 path=@\012 (deleted)`))
	f.Fuzz(func(t *testing.T, maps []byte) {
		n, ok := notice.Parse(maps)
		if !ok {
			require.Zero(t, n)
			return
		}
		require.True(t, strings.HasPrefix(n.Path, "/") || strings.HasPrefix(n.Path, "@"))
		for _, name := range []string{n.Oneshot, n.Activate} {
			require.True(t, name == "" || strings.HasPrefix(name, "SIG") && len(name) <= 15, name)
		}
		p := Process{PID: 41, Notice: &n}
		require.NotContains(t, p.SocketPath(), "%p")
	})
}

func TestSocketPath(t *testing.T) {
	p := Process{PID: 41}
	require.Equal(t, "/tmp/manhole-41", p.SocketPath())
	p.Inner = []int{41, 7, 1}
	require.Equal(t, 1, p.InnerPID())
	require.Equal(t, "/tmp/manhole-1", p.SocketPath())
	p.root = "/proc/41/root"
	p.Notice = &notice.Notice{Path: "/run/%p/%p"}
	require.Equal(t, "/proc/41/root/run/1/1", p.SocketPath())
	p.Notice.Path = "@a%p"
	require.Equal(t, "@a1", p.SocketPath())
	require.True(t, p.SameNet(), "the namespaces are not known")
	p.net, p.ourNet = "net:[1]", "net:[2]"
	require.False(t, p.SameNet())
}

func TestBuildInformation(t *testing.T) {
	var p Process
	p.fromBuild(nil)
	require.False(t, p.IsGo)
	p.fromBuild(&debug.BuildInfo{
		GoVersion: "go1.26.0", Path: "example.com/a/cmd/b", Main: debug.Module{Path: "example.com/a", Version: "v1.2.3"},
		Deps:     []*debug.Module{{Path: "example.com/c"}, {Path: ModulePath}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
	})
	require.Equal(t, Process{IsGo: true, Go: "go1.26.0", Main: "example.com/a", Version: "v1.2.3", Revision: "abc+dirty", Linked: true}, p)
	p = Process{}
	p.fromBuild(&debug.BuildInfo{GoVersion: "go1.26.0", Path: "cmd/gofmt"})
	require.Equal(t, Process{IsGo: true, Go: "go1.26.0", Main: "cmd/gofmt"}, p)
}
