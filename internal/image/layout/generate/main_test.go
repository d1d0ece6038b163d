package main

import (
	"bytes"
	"context"
	"debug/dwarf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image/layout"
	"github.com/gomanhole/oneshot/internal/image/layout/fromdwarf"
)

// TestTheTablesMatchTheToolchains makes the tables anew and compares them: the
// one of the release that runs the test always, for both architectures; the one of
// the other supported release if the go command can get it; older ones if the machine
// has them.
func TestTheTablesMatchTheToolchains(t *testing.T) {
	compare(t, "local", runtime.Version(), architectures)
	for i, r := range releases {
		if layout.Line(r.toolchain) == layout.Line(runtime.Version()) {
			continue
		}
		supported := i >= len(releases)-2
		if !atHand(t, r.toolchain, supported && !testing.Short()) {
			t.Logf("%s: not compared, the machine does not have it", r.toolchain)
			continue
		}
		compare(t, r.toolchain, r.toolchain, architectures[:1])
	}
}

// atHand reports whether the machine has a toolchain, or can get it in two minutes.
func atHand(t *testing.T, toolchain string, download bool) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "version")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain)
	if !download {
		cmd.Env = append(cmd.Env, "GOPROXY=off")
	}
	text, err := cmd.Output()
	return err == nil && bytes.Contains(text, []byte(toolchain+" "))
}

func compare(t *testing.T, toolchain, version string, architectures []string) {
	for _, arch := range architectures {
		made, err := build(t.Context(), toolchain, arch)
		require.NoError(t, err)
		table, err := layout.For(version, arch)
		require.NoError(t, err, "run go generate in internal/image/layout after adding the release")
		made.Release, made.Patch = layout.Line(version), table.Patch
		require.Equal(t, table, made, "run go generate in internal/image/layout")
		t.Logf("%s %s: the table is that of %s", table.Release, arch, version)
	}
}

// The files of tables are what the generator writes.
func TestTheGeneratorWritesTheFiles(t *testing.T) {
	files, err := filepath.Glob("../table*.go")
	require.NoError(t, err)
	require.Len(t, files, len(releases)+1)
	want := map[string][]byte{}
	for _, file := range files {
		want[filepath.Base(file)], err = os.ReadFile(file)
		require.NoError(t, err)
	}
	t.Chdir(t.TempDir())
	var tables []table
	for _, r := range releases {
		l, err := layout.For(r.toolchain, "amd64")
		require.NoError(t, err)
		require.Equal(t, r.since, l.Patch, r.toolchain)
		tables = append(tables, table{r.toolchain, l})
		require.NoError(t, tables[len(tables)-1].write())
	}
	require.NoError(t, writeIndex(tables))
	for name, text := range want {
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, string(text), string(got), name)
	}
}

func TestDWARFWithoutTheRuntimeIsAnError(t *testing.T) {
	data, err := dwarf.New(nil, nil, nil, nil, nil, nil, nil, nil)
	if err != nil {
		data = &dwarf.Data{}
	}
	_, err = fromdwarf.Read(data, "go1.99", func(uint64, []byte) error { return nil })
	require.ErrorContains(t, err, "the DWARF does not describe the runtime")
}
