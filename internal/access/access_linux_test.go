package access

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// asChild makes the test binary print what it may do more than its user, and whether it
// should trust its environment. If it is undumpable, it first forbids tracing.
const asChild = "ONESHOT_TEST_ACCESS"

func TestMain(m *testing.M) {
	switch os.Getenv(asChild) {
	case "":
		os.Exit(m.Run())
	case "undumpable":
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Printf("%q %v\n", More(), Secure())
}

// alice is a user that need not exist.
const alice = "12345"

// TestWhoMayDoMore starts programs with different rights.
func TestWhoMayDoMore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start programs with other rights; try sudo -E go test ./internal/access")
	}
	for _, program := range []string{"setpriv", "setcap", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s; install it with apt-get install util-linux libcap2-bin", program)
		}
	}
	user := []string{"setpriv", "--reuid", alice, "--regid", alice, "--clear-groups"}
	as := func(more ...string) []string { return append(append(user[:len(user):len(user)], more...), "--") }
	for _, test := range []struct {
		name   string
		how    []string
		caps   string // of the file
		mode   os.FileMode
		env    string
		more   string // what More says; empty: nothing
		secure bool
		inside bool // a user namespace of root's
	}{
		{name: "a user", how: as()},
		{name: "root", how: []string{"env"}},
		{name: "a user who may bind ports", how: as("--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service")},
		{name: "a user who may write everywhere", how: as("--inh-caps", "+dac_override", "--ambient-caps", "+dac_override"),
			more: "it has CAP_DAC_OVERRIDE"},
		{name: "a program that may bind ports", how: as(), caps: "cap_net_bind_service=+ep", secure: true},
		{name: "a program that may write everywhere", how: as(), caps: "cap_dac_override,cap_net_bind_service=+ep",
			more: "it has CAP_DAC_OVERRIDE", secure: true},
		{name: "a program that may take what it may", how: as(), caps: "cap_dac_override=+p", more: "it has CAP_DAC_OVERRIDE", secure: true},
		{name: "a set-user-ID program", how: []string{"setpriv", "--reuid", "12346", "--regid", "12346", "--clear-groups", "--"},
			mode: os.ModeSetuid | 0o755, more: "it was started with more rights than its user has", secure: true},
		{name: "a program that may not be traced", how: as(), env: "undumpable", more: "its user may not trace it (PR_SET_DUMPABLE)"},
		{name: "a user's own namespace", how: append(as(), "unshare", "--user", "--map-current-user")},
		{name: "root's namespace", inside: true, how: as("--inh-caps", "+sys_admin", "--ambient-caps", "+sys_admin"), more: "it has CAP_SYS_ADMIN"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := copyOfItself(t, test.mode)
			if test.caps != "" {
				out, err := testwait.Command(t, "setcap", test.caps, file).CombinedOutput()
				require.NoError(t, err, "%s", out)
			}
			cmd := testwait.Command(t, test.how[0], append(test.how[1:], file)...)
			cmd.Env = append(os.Environ(), asChild+"="+cmp.Or(test.env, "1"))
			if test.inside {
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Cloneflags:  syscall.CLONE_NEWUSER,
					UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 20000}},
					GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 20000}}, GidMappingsEnableSetgroups: true,
				}
			}
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, fmt.Sprintf("%q %v\n", test.more, test.secure), string(out))
		})
	}
}

// copyOfItself copies the test binary to where every user may run it. It belongs to
// alice if it has a special mode.
func copyOfItself(t *testing.T, mode os.FileMode) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "access")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	from, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer from.Close()
	file := filepath.Join(dir, "program")
	to, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(to, from)
	require.NoError(t, err)
	require.NoError(t, to.Close())
	if mode&os.ModeSetuid != 0 {
		require.NoError(t, os.Chown(file, 12345, 12345))
	}
	if mode != 0 {
		require.NoError(t, os.Chmod(file, mode))
	}
	return file
}

func TestFileCapabilities(t *testing.T) {
	word := func(bytes ...byte) []byte { return bytes }
	for _, test := range []struct {
		name  string
		value []byte
		caps  set
		bad   bool
	}{
		{"revision 2", word(1, 0, 0, 2, 0, 4, 0, 0, 1, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0), 1<<10 | 1 | 1<<39, false},
		{"revision 3, with a root", word(1, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 9, 0, 0), 1 << 10, false},
		{"revision 1", word(1, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0), 2, false},
		{"cut off", word(1, 0, 0, 2, 0, 4), 0, true},
		{"nothing", nil, 0, true},
	} {
		caps, err := parseCaps(test.value)
		require.Equal(t, test.bad, err != nil, test.name)
		require.Equal(t, test.caps, caps, test.name)
	}
}

func TestTheNamesOfCapabilities(t *testing.T) {
	require.Equal(t, "CAP_CHOWN", names(1))
	require.Equal(t, "CAP_NET_BIND_SERVICE", names(harmless))
	require.Equal(t, "CAP_CHECKPOINT_RESTORE, capability 63", names(1<<unix.CAP_CHECKPOINT_RESTORE|1<<63))
	require.Equal(t, "CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and 61 more capabilities", names(^set(0)))
	require.Len(t, capabilities, unix.CAP_LAST_CAP+1)
}

func TestANamespaceThatMapsAll(t *testing.T) {
	require.True(t, mapsAll("         0          0 4294967295\n"))
	for _, part := range []string{"", "0 1000 1\n", "0 100000 65536\n", "0 0 65536\n", "0 0 65534\n65534 65534 4294901761\n"} {
		require.False(t, mapsAll(part), strings.TrimSpace(part))
	}
}
