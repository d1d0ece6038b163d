//go:build linux && (amd64 || arm64)

package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestTheMissingRightIsNamed(t *testing.T) {
	const (
		ptrace = 1 << unix.CAP_SYS_PTRACE
		sudo   = "run oneshot as root: sudo oneshot 41. In Docker: --cap-add SYS_PTRACE; in Kubernetes: kubectl debug --profile=general"
		noCap  = "oneshot is root but has no CAP_SYS_PTRACE; add it. In Docker: --cap-add SYS_PTRACE; in Kubernetes: kubectl debug --profile=general"
	)
	mine := []int{1000, 1000, 1000}
	roots := []int{0, 0, 0}
	for _, test := range []struct {
		says string
		a    access
	}{
		{"it belongs to uid 4000000; become that user, or " + sudo, access{uid: 1000, gid: 1000, uids: []int{4000000, 4000000, 4000000}, gids: mine, sameUsers: true}},
		{"it belongs to uid 4000000, and " + noCap, access{uids: []int{4000000, 4000000, 4000000}, gids: roots, sameUsers: true}},
		{"it belongs to another group; become that user, or " + sudo, access{uid: 1000, gid: 1000, uids: mine, gids: []int{1000, 1000, 1001}, sameUsers: true}},
		{"it may do more than oneshot: it has CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE; " + sudo,
			access{uid: 1000, gid: 1000, uids: mine, gids: mine, theirs: 1<<unix.CAP_NET_BIND_SERVICE | 1<<unix.CAP_DAC_OVERRIDE, sameUsers: true}},
		{"it may do more than oneshot: it has CAP_SYS_PTRACE; " + noCap, access{uids: roots, gids: roots, theirs: ptrace, dumpable: true, sameUsers: true}},
		{"it does not let its own user read it (its program file is set-user-ID, has capabilities or is not readable, or it has called prctl(PR_SET_DUMPABLE)); " + sudo,
			access{uid: 1000, gid: 1000, uids: mine, gids: mine, sameUsers: true}},
		{"kernel.yama.ptrace_scope is 1, with which only the parent of a process may read it; sysctl kernel.yama.ptrace_scope=0, or " + sudo,
			access{uid: 1000, gid: 1000, uids: mine, gids: mine, dumpable: true, sameUsers: true, yama: 1}},
		{"kernel.yama.ptrace_scope is 2, with which only CAP_SYS_PTRACE allows it; " + sudo,
			access{uid: 1000, gid: 1000, uids: mine, gids: mine, dumpable: true, sameUsers: true, yama: 2}},
		{"kernel.yama.ptrace_scope is 3, with which no process may read another; this lasts until the next boot",
			access{effective: ptrace, uids: roots, gids: roots, dumpable: true, sameUsers: true, yama: 3}},
		{"it is in another user namespace, in which oneshot's CAP_SYS_PTRACE does not count; run oneshot as root on the host, or in that namespace: nsenter -U -t 41",
			access{effective: ptrace, uids: mine, gids: mine}},
		{"it is in another user namespace; " + sudo, access{uid: 1000, gid: 1000, uids: mine, gids: mine, dumpable: true}},
		{"oneshot has CAP_SYS_PTRACE, so a security module (SELinux, AppArmor) or a seccomp filter refuses it; the kernel's log says which. " +
			"In Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined", access{effective: ptrace, uids: mine, gids: mine, sameUsers: true}},
		{"a security module (SELinux, AppArmor) or a seccomp filter refuses it; the kernel's log says which; " + sudo,
			access{uid: 1000, gid: 1000, uids: mine, gids: mine, dumpable: true, sameUsers: true}},
	} {
		test.a.pid = 41
		require.Equal(t, test.says, test.a.missing())
	}
	require.Equal(t, "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER and more", capabilities(1<<41-1))
	require.Equal(t, "capability 63", capabilities(1<<63))
}

// Each of the missing rights is found on this system, from outside of real processes.
func TestRightsThatAreMissing(t *testing.T) {
	needTwoUsers(t)
	if scope, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil && string(scope) != "0\n" {
		t.Skipf("needs kernel.yama.ptrace_scope=0, not %s", scope)
	}
	binary := binaryForEveryUser(t)
	as := func(uid string, options ...string) []string {
		return append(append([]string{"setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"}, options...), "--", binary)
	}
	const alice, bob = "12345", "12346"
	startAs := func(program string, argv ...string) string {
		cmd := exec.Command(argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), programEnv+"="+program)
		return strconv.Itoa(clienttest.StartReady(t, cmd)) // setpriv executes the program in place
	}
	start := func(argv ...string) string { return startAs("plain", argv...) }
	ofAlice, ofRoot := start(as(alice)...), start(binary)
	capable := binaryForEveryUser(t)
	if out, err := testwait.Command(t, "setcap", "cap_net_bind_service+ep", capable).CombinedOutput(); err != nil {
		t.Skipf("needs setcap (apt-get install libcap2-bin): %v %s", err, out)
	}
	capableOfAlice := start(append(as(alice)[:len(as(alice))-1], capable)...)
	raw := binaryForEveryUser(t)
	out, err := testwait.Command(t, "setcap", "cap_net_raw+ep", raw).CombinedOutput()
	require.NoError(t, err, string(out))
	rawOfAlice := start(append(as(alice)[:len(as(alice))-1], raw)...)
	undumpableOfAlice := startAs("undumpable", as(alice)...)
	unknown := func(pid string) string {
		return "So it is not known which signal opens a manhole of process " + pid + " (oneshot), and none was sent"
	}
	noPtrace := []string{"--bounding-set", "-sys_ptrace", "--inh-caps", "-all"}

	for _, test := range []struct {
		name, pid string
		client    []string
		says      string // if the process is to be read from outside
		manhole   string // if it is to be entered; empty: the same
	}{
		{"another user", ofAlice, as(bob), "it belongs to uid " + alice + "; become that user, or run oneshot as root: sudo oneshot " + ofAlice, ""},
		{"a process of root", ofRoot, as(bob), "it belongs to uid 0 (root); become that user, or run oneshot as root", ""},
		{"file capabilities", capableOfAlice, as(alice), "it may do more than oneshot: it has CAP_NET_BIND_SERVICE; run oneshot as root: sudo oneshot " + capableOfAlice,
			"it may do more than oneshot: it has CAP_NET_BIND_SERVICE. " + unknown(capableOfAlice) + "; if the program uses the usual one, type: oneshot -2 " + capableOfAlice},
		{"file capabilities with which only root may enter", rawOfAlice, as(alice), "it may do more than oneshot: it has CAP_NET_RAW; run oneshot as root: sudo oneshot " + rawOfAlice,
			"it may do more than oneshot: it has CAP_NET_RAW. " + unknown(rawOfAlice) + "; type: sudo oneshot " + rawOfAlice},
		{"its user may not trace it", undumpableOfAlice, as(alice), "it does not let its own user read it (its program file is set-user-ID, has capabilities or is not readable, or it has called prctl(PR_SET_DUMPABLE)); run oneshot as root: sudo oneshot " + undumpableOfAlice,
			"it does not let its own user read it (its program file is set-user-ID, has capabilities or is not readable, or it has called prctl(PR_SET_DUMPABLE)). " + unknown(undumpableOfAlice) + "; type: sudo oneshot " + undumpableOfAlice},
		{"root without the capability", ofAlice, as("0", noPtrace...), "it belongs to uid " + alice + ", and oneshot is root but has no CAP_SYS_PTRACE; add it. In Docker: --cap-add SYS_PTRACE",
			"it belongs to uid " + alice + "; oneshot is root but has no CAP_SYS_PTRACE. " + unknown(ofAlice) + "; type: setpriv --reuid 12345 --regid 12345 --clear-groups oneshot " + ofAlice},
		{"root without the capability, and root", ofRoot, as("0", noPtrace...), "it may do more than oneshot: it has CAP_SYS_PTRACE; oneshot is root but has no CAP_SYS_PTRACE; add it.",
			"it may do more than oneshot: it has CAP_SYS_PTRACE; oneshot is root but has no CAP_SYS_PTRACE. " + unknown(ofRoot) + "; if the program uses the usual one, type: oneshot -2 " + ofRoot},
		{"root of a user namespace", ofAlice, []string{"unshare", "-Ur", binary}, "it is in another user namespace, in which oneshot's CAP_SYS_PTRACE does not count; run oneshot as root on the host", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, args := range [][]string{{test.pid}, {test.pid, "stacks"}, {"-outside", test.pid, "fds"}, {"-outside", test.pid, "env"}} {
				out, errs, status := client(t, append(test.client, args...)...)
				require.Equal(t, 1, status, "%q: %s%s", args, out, errs)
				require.Empty(t, out)
				says := test.says
				if args[0] != "-outside" {
					says = cmp.Or(test.manhole, says)
				}
				require.Contains(t, errs, "oneshot: not permitted to read process "+test.pid+": "+says, "%q", args)
				lines := 1
				if args[0] != "-outside" && strings.Contains(errs, "not checked that it is a Go program") {
					lines = 2 // the client has tried the default paths first, and says what it could not check
				}
				require.Equal(t, lines, strings.Count(errs, "\n"), errs)
			}
		})
	}

	// And these have the right.
	for _, argv := range [][]string{append(as(alice), ofAlice), {binary, ofAlice}, {binary, capableOfAlice}} {
		out, errs, status := client(t, append(argv, "goroutine", "1")...)
		require.Zero(t, status, errs)
		require.True(t, strings.HasPrefix(out, "goroutine 1 ["), out)
	}
}

// An error about a process that has ended meanwhile says so.
func TestRightsOfAProcessThatHasEnded(t *testing.T) {
	cmd := testwait.Command(t, "true")
	require.NoError(t, cmd.Run())
	err := explainRights(&discovery.Process{PID: cmd.Process.Pid}, errors.New("no"))
	require.EqualError(t, err, "process "+strconv.Itoa(cmd.Process.Pid)+" has ended")
}

func TestLinesOfIDs(t *testing.T) {
	list, err := ids("0\t1\t2\t3")
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2}, list)
	for _, bad := range []string{"", "1 2", "a b c"} {
		_, err := ids(bad)
		require.Error(t, err, bad)
	}
}

func TestRangesOfUIDs(t *testing.T) {
	const some = "         0     100000      65536\n     70000     200000          1\n"
	for _, test := range []struct {
		text   string
		column int
		uid    uint64
		in     bool
	}{
		{"         0          0 4294967295\n", 1, 0, true},
		{"         0          0 4294967295\n", 0, 4294967294, true},
		{some, 1, 0, false}, {some, 1, 100000, true}, {some, 1, 165535, true}, {some, 1, 165536, false}, {some, 1, 200000, true},
		{some, 0, 0, true}, {some, 0, 65536, false}, {some, 0, 70000, true}, {some, 0, 70001, false},
		{"", 0, 0, false}, {"x y z\n", 0, 0, false}, {"0 0\n", 0, 0, false},
	} {
		require.Equal(t, test.in, inRanges(test.text, test.column, test.uid), "%+v", test)
	}
}
