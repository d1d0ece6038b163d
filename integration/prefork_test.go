//go:build linux

package integration

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTheTriggerFileOpensTheNamedWorker requires that the trigger file opens the window of
// one worker of 16, the named one.
func TestTheTriggerFileOpensTheNamedWorker(t *testing.T) {
	dir := t.TempDir()
	program, trigger := filepath.Join(dir, "prefork"), filepath.Join(dir, "trigger")
	require.NoError(t, build(program, "../examples/prefork"))
	const workers = 16
	cmd := exec.Command(program, "-workers", fmt.Sprint(workers), "-trigger", trigger)
	cmd.WaitDelay = testwait.OutputTime
	var stderr testwait.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	testwait.Deadline(t, stdout)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		assert.True(t, kill.Stop(), "it has not ended %v after SIGTERM, and was killed; %s", patience, &stderr)
	})
	var pids []string
	lines := bufio.NewScanner(stdout)
	for len(pids) < workers && lines.Scan() {
		if m := regexp.MustCompile(`echo (\d+) > `).FindStringSubmatch(lines.Text()); m != nil {
			pids = append(pids, m[1])
			testwait.RemoveDead("/tmp/manhole-" + m[1])
		}
	}
	require.Len(t, pids, workers, "%v; %s", lines.Err(), &stderr)

	const triggers = 200
	for range triggers {
		pid := pids[rand.N(len(pids))]
		require.NoError(t, os.WriteFile(trigger, []byte(pid+"\n"), 0o600))
		path := "/tmp/manhole-" + pid
		var conn net.Conn
		eventually(t, func() (ok bool) {
			conn, err = net.Dial("unix", path)
			return err == nil
		}, "worker %s does not open: %s", pid, &stderr)
		require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
		greeting, err := bufio.NewReader(conn).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, greeting, "pid "+pid+",")
		for _, other := range pids {
			_, err := os.Lstat("/tmp/manhole-" + other)
			require.ErrorIs(t, err, os.ErrNotExist, "worker %s has a socket, when %s was named", other, pid)
		}
		require.NoError(t, conn.Close())
	}
	// A worker that opened a window after the loop had looked would have logged it.
	eventually(t, func() bool { return strings.Count(stderr.String(), "window open") >= triggers }, "the log lacks windows: %s", &stderr)
	require.Equal(t, triggers, strings.Count(stderr.String(), "window open"))
	require.Equal(t, triggers, strings.Count(stderr.String(), "names this process"))
}
