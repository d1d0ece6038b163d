package discovery

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestMappings(t *testing.T) {
	m, ok := parseMapping([]byte("7f6a6fa71000-7f6a6fc45000 r-xp 00071000 fe:0a 10002462                   /opt/my app/libcounter.so (deleted)"))
	require.True(t, ok)
	require.Equal(t, mapping{unix.Mkdev(0xfe, 10), 10002462, "/opt/my app/libcounter.so (deleted)"}, m)
	for _, line := range []string{
		"7f6a6fa71000-7f6a6fc45000 r--p 00071000 fe:00 1 /lib/a.so",
		"7f6a6fefc000-7f6a6fefe000 r-xp 00000000 00:00 0                          [vdso]",
		"7f6a6fefc000-7f6a6fefe000 r-xp 00000000 00:00 0",
		"7f6a6fefc000-7f6a6fefe000 r-xp 00000000 fe00 1 /lib/a.so",
		"7f6a6fefc000-7f6a6fefe000 r-xp 00000000 fe:00 x /lib/a.so",
		"", "a b c d e",
	} {
		_, ok := parseMapping([]byte(line))
		require.False(t, ok, line)
	}
}

func FuzzMappings(f *testing.F) {
	f.Add([]byte("7f6a6fa71000-7f6a6fc45000 r-xp 00071000 fe:0a 10002462   /lib/libcounter.so"))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, ok := parseMapping(line)
		require.Equal(t, ok, m != mapping{}, "%q", line)
	})
}

// The owner of a process can put anything at the path of a library that it has loaded.
// Only the file that is in its memory is opened.
func TestOnlyTheMappedFileIsOpened(t *testing.T) {
	dir := testwait.TempDir(t)
	path := dir + "/lib.so"
	require.NoError(t, os.WriteFile(path, []byte("library"), 0o600))
	var st unix.Stat_t
	require.NoError(t, unix.Stat(path, &st))
	m := mapping{uint64(st.Dev), st.Ino, "/lib.so"}
	file, info, err := m.open(dir)
	require.NoError(t, err)
	require.EqualValues(t, len("library"), info.Size())
	require.NoError(t, file.Close())

	require.NoError(t, os.Rename(path, dir+"/real"))
	for name, plant := range map[string]func() error{
		"another file": func() error { return os.WriteFile(path, []byte("other"), 0o600) },
		"a link":       func() error { return os.Symlink("real", path) },
		"a device":     func() error { return os.Symlink("/dev/zero", path) },
		"a named pipe": func() error { return syscall.Mkfifo(path, 0o600) }, // to open it would wait for a writer
		"nothing":      func() error { return nil },
	} {
		require.NoError(t, plant(), name)
		_, _, err := m.open(dir)
		require.Error(t, err, name)
		_ = os.Remove(path)
	}
}

// The number of files that are looked at has a bound, and so has what is kept of a name.
func TestManyMappings(t *testing.T) {
	dir := testwait.TempDir(t)
	maps := ""
	for n := range 10 * maxLibraries {
		maps += fmt.Sprintf("7f00-7f01 r-xp 00000000 fe:00 %d /lib/%d.so\n", n+1, n)
	}
	maps += "7f28-7f29 r--p 00000000 00:01 21621    /memfd:oneshot:v1 signal=SIGUSR2 path=/tmp/manhole-%p (deleted)\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "maps"), []byte(maps), 0o600))
	p := &Process{root: dir}
	require.NoError(t, make(programs).lookForLibrary(p, dir))
	require.True(t, p.IsGo && p.Linked)
	require.Equal(t, "a library", p.Library)
	require.Equal(t, "SIGUSR2", p.Notice.Oneshot)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "maps"), []byte("7f00-7f01 r-xp 00000000 fe:00 1 /lib/a.so\n"), 0o600))
	p = &Process{root: dir}
	require.NoError(t, make(programs).lookForLibrary(p, dir))
	require.Equal(t, &Process{root: dir}, p, "without a notice it is another program")
}
