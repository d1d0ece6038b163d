package procfs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// group makes a control group in dir with these files.
func group(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
}

func TestLimitsOfControlGroups(t *testing.T) {
	dir := t.TempDir()
	// The second version: the limit of a group above counts too.
	v2 := dir + "/v2 tree"
	group(t, v2+"/pod", map[string]string{"memory.max": "536870912\n", "memory.current": "100\n", "cpu.max": "150000 100000\n"})
	group(t, v2+"/pod/c", map[string]string{"memory.max": "max\n", "memory.current": "50\n", "cpu.max": "max 100000\n"})
	group(t, v2+"/pod/low", map[string]string{"memory.max": "1048576\n", "memory.current": "50\n", "cpu.max": "50000 100000\n"})
	// The first version, in which a container sees only its own group.
	v1 := dir + "/memory"
	group(t, v1, map[string]string{"memory.limit_in_bytes": "268435456\n", "memory.usage_in_bytes": "7\n"})
	group(t, v1+"/none", map[string]string{"memory.limit_in_bytes": "9223372036854771712\n", "memory.usage_in_bytes": "7\n"})
	cpu := dir + "/cpu"
	group(t, cpu+"/x", map[string]string{"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"})
	group(t, cpu+"/y", map[string]string{"cpu.cfs_quota_us": "25000\n", "cpu.cfs_period_us": "100000\n"})
	escaped := dir + `/v2\040tree`
	mounts := cgroupMounts("31 23 0:28 / " + dir + " rw - tmpfs tmpfs rw\n" +
		"36 35 0:30 / " + escaped + " rw,nosuid shared:5 - cgroup2 cgroup2 rw\n" +
		"40 35 0:34 /docker/abc " + v1 + " rw - cgroup cgroup rw,memory\n" +
		"41 35 0:34 / " + cpu + " rw - cgroup cgroup rw,cpu,cpuacct\n" + "garbage\n- - -\n")
	require.Len(t, mounts, 3)

	for groups, want := range map[string]Cgroup{
		"0::/pod/c\n":    {CPUs: 1.5, MemoryLimit: 512 << 20, MemoryUsed: 100},
		"0::/pod/low\n":  {CPUs: 0.5, MemoryLimit: 1 << 20, MemoryUsed: 50},
		"0::/\n":         {},
		"0::/../other\n": {},
		"4:memory:/docker/abc\n2:cpu,cpuacct:/x\n":     {MemoryLimit: 256 << 20, MemoryUsed: 7},
		"4:memory:/docker/abc/none\n2:cpu:/y\n0::/\n":  {CPUs: 0.25, MemoryLimit: 256 << 20, MemoryUsed: 7},
		"4:memory:/docker/abcdef\n":                    {},
		"4:memory:/elsewhere\n3:cpuset:/y\ngarbage\n:": {},
		"": {},
	} {
		require.Equal(t, want, cgroupLimits(groups, mounts), groups)
	}
}

func TestCgroupOfThisProcess(t *testing.T) {
	c := ReadCgroup("/proc/self")
	require.GreaterOrEqual(t, c.CPUs, 0.0)
	require.Equal(t, c.MemoryLimit == 0, c.MemoryUsed == 0, "%+v", c)
	require.Zero(t, ReadCgroup("/proc/self/no"))
}

func TestEscapesOfMountinfo(t *testing.T) {
	for escaped, want := range map[string]string{`/a\040b\011`: "/a b\t", `\134x`: `\x`, `\1`: `\1`, `\999`: `\999`, "": ""} {
		require.Equal(t, want, unescape(escaped))
	}
}

func FuzzCgroups(f *testing.F) {
	f.Add("0::/a/../b\n4:memory:/x\n", "36 35 0:30 / /m\\040 rw - cgroup2 cgroup2 rw\n40 35 0:34 /x /n rw - cgroup cgroup rw,memory\n")
	f.Fuzz(func(t *testing.T, groups, mounts string) {
		for _, m := range cgroupMounts(mounts) {
			m.point = "/here"
			eachGroup(groups, []cgroupMount{m}, "memory", func(dir string, _ bool) {
				require.NotContains(t, dir+"/", "/../")
			})
		}
	})
}
