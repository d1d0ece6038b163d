//go:build linux

package integration

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// deployCommands are the commands of docs/deploy.md: for which place they are, who types
// them, and what of them can be run without an engine.
var deployCommands = []struct {
	line, place, visitor string
	run                  string // empty: the line; PID is the pid as the visitor sees it
}{
	{"docker exec -it NAME /oneshot 1", "distroless", "exec", "oneshot 1"},
	{"sudo oneshot $(docker inspect --format '{{.State.Pid}}' NAME)", "distroless", "host root", "oneshot $(echo PID)"},
	{"docker run --rm -it --pid=container:NAME --network=container:NAME --cap-add=SYS_PTRACE IMAGE oneshot 1", "distroless", "ephemeral, SYS_PTRACE", "oneshot 1"},
	{"kill -USR2 PID; for i in 1 2 3 4 5; do nc -U /proc/PID/root/tmp/manhole-1 && break; sleep .1; done", "distroless", "host root", ""},
	{"nsenter --net --target PID sh -c 'kill -USR2 PID; for i in 1 2 3 4 5; do nc -U @manhole-1 && break; sleep .1; done'", "scratch", "host root", ""},
	{"kubectl exec -it POD -c CONTAINER -- /oneshot 1", "read-only root, a tmpfs", "exec", "oneshot 1"},
	{"kubectl debug -it POD --image=IMAGE --target=CONTAINER --profile=general -- oneshot 1", "read-only root, a tmpfs", "ephemeral, SYS_PTRACE", "oneshot 1"},
	{"setpriv --reuid UID --regid UID --clear-groups oneshot 1", "read-only root, a tmpfs", "ephemeral", ""},
	{"sudo oneshot $(systemctl show --property MainPID --value UNIT)", "own /tmp", "host root", "oneshot $(echo PID)"},
	{"scp oneshot HOST:", "", "", ""},
	{"ssh -t HOST sudo ./oneshot PID", "own /tmp", "host root", "oneshot PID"},
	{"ssh HOST sudo ./oneshot PID profile heap > heap.pb.gz", "own /tmp", "host root", "oneshot PID profile heap | od -An -tx1 -N2"},
	{"nsenter --user --target PID oneshot PID", "user namespace that maps uids", "host root", ""},
	{"nsenter --user --target PID sh -c 'kill -USR2 PID; for i in 1 2 3 4 5; do nc -U /proc/PID/root/tmp/manhole-1 && break; sleep .1; done'", "user namespace that maps uids", "host root", ""},
}

// TestTheCommandsOfTheDeployPage runs the commands of docs/deploy.md, each with a session
// or a command at its end.
func TestTheCommandsOfTheDeployPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/deploy.md")
	require.NoError(t, err)
	var lines, known []string
	for _, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllSubmatch(text, -1) {
		lines = append(lines, strings.Split(strings.TrimSpace(string(block[1])), "\n")...)
	}
	for _, c := range deployCommands {
		known = append(known, c.line)
	}
	require.ElementsMatch(t, known, lines, "each command of the page is run here")

	needRoot(t)
	need(t, "nsenter", "util-linux")
	need(t, "nc", "netcat-openbsd")
	dir := matrixFolder(t)
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			var c *child
			for _, command := range deployCommands {
				if command.place == "" || !strings.HasPrefix(p.name, command.place) {
					continue
				}
				if c == nil {
					p.buildable(t)
					c = p.start(t, dir)
				}
				v := visitorNamed(command.visitor)
				run := command.run
				if run == "" {
					run = command.line
				}
				run = strings.NewReplacer("PID", strconv.Itoa(v.pid(t, c.Process.Pid)), "UID", strconv.Itoa(p.uid)).Replace(run)
				want := ">>> "
				if strings.Contains(run, "profile") {
					want = " 1f 8b" // gzip
				}
				words := []string{"sh", "-c", "echo mem | " + run}
				if strings.Contains(run, "kill") { // the pause of the line may be too short for a busy machine
					words[2] = strings.Replace(run, "nc -U", "echo mem | nc -N -U", 1)
				}
				if command.visitor == "exec" {
					words = strings.Fields(run)
				}
				eventually(t, func() bool {
					out, errs, status := v.run(t, p, c.Process.Pid, dir, words...)
					if status != 0 || !strings.Contains(out, want) {
						t.Logf("%s: status %d: %.200s %s", run, status, out, errs)
						return false
					}
					return true
				}, "%s does not enter", command.line)
			}
		})
	}
}
