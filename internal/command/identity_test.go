package command

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheIdentityFitsOneLine(t *testing.T) {
	info := func(path, version, revision string) *debug.BuildInfo {
		b := &debug.BuildInfo{Main: debug.Module{Path: path, Version: version}}
		if revision != "" {
			b.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: revision}, {Key: "vcs.modified", Value: "true"}}
		}
		return b
	}
	const commit = "53f821a1b2c3d4e5f60718293a4b5c6d7e8f9012"
	for _, test := range []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"job", nil, "job, pid 7, go1.26.8 linux/amd64"},
		{"job", info("", "", commit), "job, pid 7, go1.26.8 linux/amd64"},
		{"job", info("a.org/job", "v1.2.3", ""), "job, pid 7, a.org/job v1.2.3, go1.26.8 linux/amd64"},
		{"job", info("a.org/job", "v1.2.3", commit), "job, pid 7, a.org/job v1.2.3 (53f821a1b2c3..., modified), go1.26.8 linux/amd64"},
		{"job", info("a.org/job", "v0.0.0-20261129101406-53f821a1b2c3", commit), "job, pid 7, a.org/job v0.0.0-20261129101406-53f821a1b2c3, go1.26.8 linux/amd64"},
		{"job", info("a.org/department/job", "v0.0.0-20261129101406-53f821a1b2c3", ""), "job, pid 7, a.org/department/job v0.0.0-20261129101406-53f821a1b2c3, go1.26.8"},
		{"job", info("a.org/department/team/service/job", "v0.0.0-20261129101406-53f821a1b2c3", ""), "job, pid 7, a.org/department/team/service/job v0.0.0-20261129101406..., go1.26.8"},
	} {
		got := Identity(test.name, 7, test.info, "go1.26.8", "linux", "amd64")
		require.Equal(t, test.want+"\n", got)
		require.LessOrEqual(t, len(got), width+1)
	}
	long := Identity(strings.Repeat("long", 100), 7, info("a.org/job", "v1.2.3", ""), "go1.26.8", "linux", "amd64")
	require.LessOrEqual(t, len(long), width+1, long)
}
