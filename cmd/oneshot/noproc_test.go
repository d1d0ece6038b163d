//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// The tag oneshot_noproc builds the client that macOS and FreeBSD have, for Linux.

// buildWithoutProc builds that client and returns the folder that it is in.
func buildWithoutProc(t *testing.T) (dir string) {
	t.Helper()
	dir = testwait.TempDir(t)
	build := testwait.Command(t, "go", "build", "-tags", "oneshot_noproc", "-o", dir+"/oneshot", ".")
	out, err := build.CombinedOutput()
	require.NoErrorf(t, err, "%s", out)
	return dir
}

func TestWithoutProc(t *testing.T) {
	dir := buildWithoutProc(t)
	t.Run("scripts", func(t *testing.T) {
		p := scriptParams(t, "testdata/noproc")
		setup := p.Setup
		p.Setup = func(env *testscript.Env) error {
			env.Setenv("PATH", dir+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("linux", os.Args[0])
			return setup(env)
		}
		testscript.Run(t, p)
	})
	t.Run("a socket of another process", func(t *testing.T) {
		sleep := testwait.Command(t, "sleep", "1000")
		require.NoError(t, sleep.Start())
		pid := sleep.Process.Pid
		path := fmt.Sprintf("/tmp/manhole-%d", pid)
		testwait.RemoveDead(path)
		ln, err := net.Listen("unix", path)
		require.NoError(t, err)
		defer ln.Close()
		out, err := testwait.Command(t, dir+"/oneshot", strconv.Itoa(pid), "say", "secret").CombinedOutput()
		require.Error(t, err)
		require.Contains(t, string(out), fmt.Sprintf("the socket %s belongs to process %d, not to process %d; nothing was sent", path, os.Getpid(), pid))
		conn, err := ln.Accept()
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(testwait.Patience)))
		n, err := conn.Read(make([]byte, 1))
		require.Zerof(t, n, "the client has sent something (%v)", err)
	})
	t.Run("what it cannot do", func(t *testing.T) {
		var here []string
		out, err := testwait.Command(t, dir+"/oneshot", "help").Output()
		require.NoError(t, err)
		for _, c := range subcommands() {
			text, err := testwait.Command(t, dir+"/oneshot", "help", c.name).CombinedOutput()
			if err == nil {
				require.Contains(t, string(out), "oneshot "+c.name)
				here = append(here, c.name)
				continue
			}
			require.Regexp(t, "^oneshot: "+c.name+" .* Linux.*; instead: .+\n$", string(text))
			again, err := testwait.Command(t, dir+"/oneshot", c.name, "4321").CombinedOutput()
			require.Error(t, err)
			require.Equal(t, string(text), string(again))
		}
		require.Equal(t, []string{"signals", "pprof", "diff", "report", "completion", "man", "version", "help"}, here)
	})
}
