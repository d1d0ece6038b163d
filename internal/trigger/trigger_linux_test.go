package trigger

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/asynclog"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// watch returns a trigger in a new directory. Its log is written to out. The channel gets
// a value each time that a window should open.
func watch(t *testing.T) (file *File, out *testwait.Buffer, opened chan struct{}) {
	t.Helper()
	out, opened = &testwait.Buffer{}, make(chan struct{}, 10)
	file, err := New(filepath.Join(testwait.TempDir(t), "trigger"), Config{
		Process: func() (int, bool) { return os.Getpid(), true },
		Open:    func() { opened <- struct{}{} },
		Log:     &asynclog.Log{Logger: slog.New(slog.NewTextHandler(out, nil))},
	})
	require.NoError(t, err)
	return file, out, opened
}

// The kernel reports two writes, and the file is read twice, both times after the
// second write.
func TestTheSameTextReadTwiceOpensOneWindow(t *testing.T) {
	trigger, out, opened := watch(t)
	defer trigger.Close()
	func() {
		trigger.mu.Lock()
		defer trigger.mu.Unlock()
		for _, text := range []string{"1\n", fmt.Sprintln(os.Getpid())} {
			require.NoError(t, os.WriteFile(trigger.path, []byte(text), 0o600))
			require.True(t, trigger.Drain())
		}
	}()
	testwait.Receive(t, opened, "the trigger to open")
	testwait.Group(t, &trigger.looking, "the looks at the file")
	trigger.Log.Flush(testwait.Patience)
	require.Equal(t, 1, strings.Count(out.String(), "names this process"))
	require.Empty(t, opened)
}

// Drain must not read after Close: the descriptor may then belong to another file.
func TestASignalAfterCloseReadsFromNoOtherFile(t *testing.T) {
	trigger, _, _ := watch(t)
	fd := trigger.fd
	trigger.Close()
	other := filepath.Join(testwait.TempDir(t), "other")
	require.NoError(t, os.WriteFile(other, []byte(strings.Repeat("x", 4096)), 0o600))
	f, err := os.Open(other)
	require.NoError(t, err)
	defer f.Close()
	if int(f.Fd()) != fd { // the kernel returns the lowest free descriptor
		require.NoError(t, syscall.Dup3(int(f.Fd()), fd, syscall.O_CLOEXEC))
		defer syscall.Close(fd)
	}
	require.False(t, trigger.Drain())
	at, err := f.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	require.Zero(t, at, "what was the other file's has been read")
}
