package hostpath

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const mounts = `22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
40 28 254:1 /tmp/systemd-private-1b2c-web.service-xyz/tmp /tmp rw shared:160 - ext4 /dev/vda1 rw
41 28 0:30 / /run rw,nosuid - tmpfs tmpfs rw
42 28 0:31 / /srv/a\040b rw - overlay overlay rw
broken
`

func TestMountOf(t *testing.T) {
	for dir, want := range map[string]string{
		"/tmp":     "/tmp/systemd-private-1b2c-web.service-xyz/tmp ext4",
		"/tmp/x/y": "/tmp/systemd-private-1b2c-web.service-xyz/tmp ext4",
		"/tmpx":    "/ ext4",
		"/run/app": "/ tmpfs",
	} {
		root, kind := mountOf(strings.NewReader(mounts), dir)
		require.Equal(t, want, root+" "+kind, dir)
	}
}

func TestOf(t *testing.T) {
	for _, test := range []struct{ pids, mnt, first, mountinfo, path, want string }{
		{initialPIDs, "mnt:[1]", "mnt:[1]", mounts, "/tmp/manhole-7", ""},
		{initialPIDs, "mnt:[2]", "mnt:[1]", "", "/tmp/manhole-7", "/proc/7/root/tmp/manhole-7"},
		{initialPIDs, "mnt:[2]", "", mounts, "/tmp/manhole-7", "/proc/7/root/tmp/manhole-7"},
		{initialPIDs, "mnt:[2]", "", mounts, "/run/manhole-7", ""},
		{initialPIDs, "mnt:[2]", "", "1 0 0:3 / / rw - overlay overlay rw\n", "/tmp/manhole-7", "/proc/7/root/tmp/manhole-7"},
		{"pid:[4026532000]", "mnt:[2]", "mnt:[2]", "", "/tmp/manhole-1", "/proc/PID-ON-THE-HOST/root/tmp/manhole-1"},
		{"", "", "", "", "/tmp/manhole-7", ""},
	} {
		proc := t.TempDir()
		for name, target := range map[string]string{"self/ns/pid": test.pids, "self/ns/mnt": test.mnt, "1/ns/mnt": test.first} {
			file := filepath.Join(proc, name)
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
			if target != "" {
				require.NoError(t, os.Symlink(target, file))
			}
		}
		require.NoError(t, os.WriteFile(proc+"/self/mountinfo", []byte(test.mountinfo), 0o600))
		pid := 7
		if strings.HasSuffix(test.path, "-1") {
			pid = 1
		}
		require.Equal(t, test.want, of(proc, test.path, pid), test)
	}
}
