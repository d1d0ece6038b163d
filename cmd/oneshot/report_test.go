//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bundle"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestReportOfABundle(t *testing.T) {
	t.Parallel()
	dir := testwait.TempDir(t)
	var archive bytes.Buffer
	w, err := bundle.NewWriter(&archive, "oneshot-server")
	require.NoError(t, err)
	require.NoError(t, w.Add("fds.txt", time.Unix(0, 0), strings.NewReader("10 of 1024"), 10))
	file, page := filepath.Join(dir, "oneshot-server.tar.gz"), filepath.Join(dir, "oneshot-server.html")
	require.NoError(t, os.WriteFile(file, archive.Bytes(), 0o600))

	out, _ := call(t, "report", "-o", page, file)
	require.Equal(t, page+"\n", out)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "10 of 1024")
	info, err := os.Stat(page)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	link := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink(filepath.Join(dir, "elsewhere"), link))
	for _, test := range []struct {
		says string
		argv []string
	}{
		{"exists already", []string{"-o", page, file}},
		{"exists already", []string{"-o", link, file}},
		{"not a bundle", []string{"-o", filepath.Join(dir, "new"), page}},
		{"no such file or directory; give a file that oneshot bundle has written, or a process", []string{filepath.Join(dir, "missing")}},
		{"give one bundle", nil},
		{"need a process, not a bundle", []string{"-for", "1s", file}},
		{"need a process, not a bundle", []string{"-n", file}},
	} {
		err := runSubcommand("report", test.argv, new(bytes.Buffer), new(bytes.Buffer))
		require.ErrorContains(t, err, test.says)
	}
}

func TestReportOfAProcess(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"parkedinstalled", "parked"} { // with a manhole, and from outside
		pid, page := strconv.Itoa(startProgram(t, program)), filepath.Join(testwait.TempDir(t), "page.html")
		out, errs, status := client(t, os.Args[0], "report", "-o", page, pid)
		require.Zero(t, status, errs)
		require.Equal(t, page+"\n", out)
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Contains(t, string(text), "<title>oneshot.test, pid "+pid+" on ")
		require.Contains(t, string(text), "oneshot.offer")
		require.Contains(t, string(text), "Table of the descriptors")
	}
}
