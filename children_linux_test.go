package oneshot

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// outputOf runs a child, which has its time. Any goroutine may call it.
func outputOf(ctx context.Context, argv ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, testwait.Patience)
	defer cancel()
	return exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
}

// TestChildrenHaveNothingOfTheManhole: those that the program starts in a tight
// loop while windows are opened, entered and closed.
func TestChildrenHaveNothingOfTheManhole(t *testing.T) {
	const children, windows = 1000, 200
	looks := [...]struct {
		argv []string
		want *regexp.Regexp // of the whole output
	}{
		{[]string{"grep", "SigBlk", "/proc/self/status"}, regexp.MustCompile(`^SigBlk:\s+0{16}\n$`)},
		// Neither a socket nor inotify's; the pipes are those to this test.
		{[]string{"ls", "-l", "/proc/self/fd"}, regexp.MustCompile(`^total 0\n(\S+ .* \d+ -> [^:\n]*(pipe:\S+)?\n)+$`)},
	}
	dir := testwait.TempDir(t)
	m := install(t, Options{OneshotOn: syscall.SIGUSR2, SocketPath: filepath.Join(dir, "s"),
		TriggerFile: filepath.Join(testwait.TempDir(t), "trigger")})

	windowsDone, allDone := testwait.Gate(t)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer allDone()
	wg.Go(func() {
		n := 0
		for ; n < children || !closed(windowsDone); n++ {
			look := looks[n%len(looks)]
			out, err := outputOf(t.Context(), look.argv...)
			if err != nil || !look.want.Match(out) {
				t.Errorf("%v: %v\n%s", look.argv, err, out)
				return
			}
		}
		t.Logf("%d children", n)
	})
	for n := range windows {
		kill(t, syscall.SIGUSR2)
		if n%4 == 0 { // nobody comes
			eventually(t, func() bool { _, err := os.Lstat(m.Path()); return err == nil }, "no window")
			m.shutWindow(closedBy{syscall.SIGUSR1})
			continue
		}
		m.visitBriefly(t)
	}
	allDone()
	wg.Wait() // each child has its time
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	_, err = net.Dial("unix", m.Path())
	require.Error(t, err)
}
