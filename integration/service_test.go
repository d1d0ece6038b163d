//go:build linux

package integration

import (
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// TestAServiceWithoutAManhole: the examples are what people copy. If Install fails, they log
// it and serve.
func TestAServiceWithoutAManhole(t *testing.T) {
	t.Parallel()
	prefork := filepath.Join(t.TempDir(), "prefork")
	require.NoError(t, build(prefork, "../examples/prefork"))
	for _, test := range []struct {
		name string
		argv []string
		says string
	}{
		{"server", []string{server, "-socket", "/nowhere/s"}, "the directory of SocketPath /nowhere/s"},
		{"prefork", []string{prefork, "-workers", "2", "-trigger", "/nowhere/trigger"}, "open /nowhere/trigger"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := &testwait.Buffer{}
			cmd := exec.Command(test.argv[0], test.argv[1:]...)
			cmd.Stdout, cmd.WaitDelay = out, testwait.OutputTime
			log := &testwait.Buffer{}
			cmd.Stderr = log
			require.NoError(t, cmd.Start())
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { _ = cmd.Process.Kill() })

			address := regexp.MustCompile(`serving (http://[^\s;]+)`)
			eventually(t, func() bool { return address.MatchString(out.String()) }, "it does not serve: %s", log)
			client := http.Client{Timeout: patience}
			defer client.CloseIdleConnections()
			answer, err := client.Get(address.FindStringSubmatch(out.String())[1])
			require.NoError(t, err, log)
			text, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			require.NoError(t, answer.Body.Close())
			require.Regexp(t, "^(hello|served by [0-9]+)\n$", string(text))
			eventually(t, func() bool { return strings.Contains(log.String(), "no manhole") }, "it is not logged: %s", log)
			require.Contains(t, log.String(), test.says)
			if test.name == "server" { // a request can be served before the program has subscribed to the signal
				eventually(t, func() bool {
					stacks, errs, status := oneshotAs(t, []string{"env"}, "-outside", strconv.Itoa(cmd.Process.Pid), "stacks")
					require.Zero(t, status, errs)
					return strings.Contains(stacks, "(*Manhole).Wait")
				}, "it does not wait for signals: %s", log)
			}

			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, testwait.Receive(t, ended, fmt.Sprintf("the end of %s", test.name)), log)
		})
	}
}
