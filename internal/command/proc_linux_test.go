package command

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestProcShowsFilesFoldersAndLinks(t *testing.T) {
	c := newClient(t)
	require.Regexp(t, `(?m)^Pid:\t`+fmt.Sprint(os.Getpid())+`$`, c.do("proc status"))
	require.Equal(t, strings.Join(os.Args, "\n")+"\n", c.do("proc cmdline"))
	require.Contains(t, c.do("proc environ"), "\nPATH="+os.Getenv("PATH")+"\n")
	require.Contains(t, c.do("proc maps"), " [stack]\n")
	require.Regexp(t, `\\x00\\x00`, c.do("proc auxv"), "it is binary")
	require.Contains(t, c.do(fmt.Sprintf("proc task/%d/net/dev", os.Getpid())), "Inter-|")

	all := c.do("proc")
	cwd, err := os.Getwd()
	require.NoError(t, err)
	for _, line := range []string{"status", "task/", "cwd -> " + cwd, "fd/"} {
		require.Contains(t, "\n"+all, "\n"+line+"\n")
	}
	require.Contains(t, c.do("proc task"), fmt.Sprintf("%d/\n", os.Getpid()))
	require.Equal(t, "cwd -> "+cwd+"\n", c.do("proc cwd"))
	require.Regexp(t, `^ns/net -> net:\[\d+\]\n$`, c.do("proc ns/net"))

	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	defer null.Close()
	fd := fdOf(t, null)
	require.Equal(t, fmt.Sprintf("fd/%d -> /dev/null\n", fd), c.do(fmt.Sprintf("proc fd/%d", fd)))
	require.Contains(t, "\n"+c.do("proc fd/"), fmt.Sprintf("\n%d -> /dev/null\n", fd))
}

func TestProcNeverLeavesProc(t *testing.T) {
	c := newClient(t)
	for line, says := range map[string]string{
		"proc ..":                     "proc: ..: the path must not contain an empty name, . or .. anywhere\n",
		"proc task/../../1/status":    "proc: task/../../1/status: the path must not contain an empty name, . or .. anywhere\n",
		"proc fd/0/../..":             "proc: fd/0/../..: the path must not contain an empty name, . or .. anywhere\n",
		"proc net//dev":               "proc: net//dev: the path must not contain an empty name, . or .. anywhere\n",
		"proc ''":                     "proc: : the path must not contain an empty name, . or .. anywhere\n",
		"proc /etc/passwd":            "proc: /etc/passwd: give the path below /proc/self: proc status\n",
		"proc a/b/c/d/e":              "proc: a/b/c/d/e: the path may have at most 4 names, as in proc task/1/net/dev\n",
		"proc root/etc/passwd":        "proc: open etc: not a directory\n",
		"proc cwd/go.mod":             "proc: open go.mod: not a directory\n",
		"proc attr/exec":              "proc: read exec: invalid argument\n",
		"proc nothing":                "proc: there is no nothing; proc without FILE lists the files\n",
		"proc a b":                    "proc: one file at a time, not 2: proc a\n",
		"proc mem":                    "proc: mem is the memory itself, not a text; see maps and smaps_rollup\n",
		"proc task/1/mem":             "proc: mem is the memory itself, not a text; see maps and smaps_rollup\n",
		"proc pagemap":                "proc: pagemap is a table of 8 bytes for every page, not a text; smaps_rollup has the sums\n",
		"proc kpagecount":             "proc: kpagecount is a table of 8 bytes for every page, not a text; smaps_rollup has the sums\n",
		"proc clear_refs":             "proc: clear_refs can only be written, which would change the process\n",
		"proc net/rpc/x/channel":      "proc: reading a channel takes a request away from the daemon that it is for\n",
		"proc net/../net/../cmdline/": "proc: net/../net/../cmdline/: the path must not contain an empty name, . or .. anywhere\n",
	} {
		require.Equal(t, says, c.do(line), line)
	}
}

// Opening the pipe through its link would block forever, because nobody writes to
// the pipe.
func TestProcDoesNotOpenThroughLinks(t *testing.T) {
	c := newClient(t)
	var pipe [2]int
	require.NoError(t, unix.Pipe2(pipe[:], unix.O_CLOEXEC))
	defer unix.Close(pipe[0])
	require.NoError(t, unix.Close(pipe[1]))
	require.Regexp(t, `^fd/\d+ -> pipe:\[\d+\]\n$`, c.do(fmt.Sprintf("proc fd/%d", pipe[0])))
	require.NoFileExists(t, fmt.Sprintf("/proc/self/fd/%d", 1<<20))
	require.Contains(t, c.do(fmt.Sprintf("proc fd/%d", 1<<20)), "there is no fd/1048576; ")
}

func TestOtherFileSystemsAreRefused(t *testing.T) {
	_, err := openEntry(unix.AT_FDCWD, testwait.TempDir(t), unix.O_DIRECTORY|unix.O_PATH)
	require.ErrorContains(t, err, "it does not belong to procfs; something else is mounted there")
	_, err = openProc("/proc/self", []string{"cwd", "go.mod"})
	require.ErrorIs(t, err, unix.ENOTDIR)
}

func TestProcLeavesNoDescriptor(t *testing.T) {
	c := newClient(t)
	c.do("proc")
	before := c.do("proc fd")
	for _, name := range []string{"status", "fd", "cwd", "nothing", "cwd/x", "status/x", "mem", "task", "attr/exec"} {
		c.do("proc " + name)
	}
	require.Equal(t, strings.Count(before, "\n"), strings.Count(c.do("proc fd"), "\n"))
}

func TestProcIsBounded(t *testing.T) {
	// Each page whose neighbours have other permissions is a line of its own in maps.
	const pages = 14_000
	size := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, pages*size, unix.PROT_READ, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer func() { require.NoError(t, unix.Munmap(memory)) }()
	for i := 0; i < pages; i += 2 {
		require.NoError(t, unix.Mprotect(memory[i*size:(i+1)*size], unix.PROT_NONE))
	}
	var made []int
	defer func() {
		for _, fd := range made {
			unix.Close(fd)
		}
	}()
	for range maxProcEntries + 10 {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		require.NoError(t, err)
		made = append(made, fd)
	}

	c := newClient(t)
	out := c.do("proc smaps")
	require.True(t, strings.HasSuffix(out, "\n(cut off after 1.00 MiB; there is more)\n"))
	require.InDelta(t, maxProcFile, len(out), 100)
	out = c.do("proc fd")
	require.True(t, strings.HasSuffix(out, "\n(cut off after 1000; there are more)\n"))
	require.Equal(t, maxProcEntries+1, strings.Count(out, "\n"))
}

func TestProcEscapesControlCharacters(t *testing.T) {
	for _, test := range []struct {
		data string
		nul  bool
		want string
	}{
		{"a\tb\nü€\n", false, "a\tb\nü€\n"},
		{"a", false, "a\n"},
		{"", false, ""},
		{"a\x00b\x00", true, "a\nb\n"},
		{"a\x00b\n", false, `a\x00b` + "\n"},
		{"\x1b[2J\x07\r\x7f\u009b\u202e\xff\ufffd", true, `\x1b[2J\x07\x0d\x7f\xc2\x9b\xe2\x80\xae\xff\xef\xbf\xbd` + "\n"},
		{strings.Repeat("\x1b", 100_000), true, strings.Repeat(`\x1b`, 100_000) + "\n"},
	} {
		var b strings.Builder
		text := &dump.Writer{Ctx: context.Background(), W: &b}
		showSafely(text, []byte(test.data), test.nul)
		require.NoError(t, text.Err)
		require.Equal(t, test.want, b.String())
	}
}

func TestProcStopsWithItsContext(t *testing.T) {
	c := newClient(t)
	s := c.s
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, answers(findProc)(ctx, s, []string{"maps"}), context.Canceled)
	require.ErrorIs(t, answers(findProc)(ctx, s, nil), context.Canceled)
}
