//go:build linux

package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/testwait"
)

// The rows of the matrix: where a program runs. Each is built with the system calls that
// a container engine or systemd makes.

// place is where a program runs.
type place struct {
	name    string // in docs/deploy.md
	program string // in the folder /mnt; the condition deadlocked
	uid     int    // as the program itself sees it
	kind    int    // of namespaces
	image   string // shell commands in the root folder of a container; empty: it has the files of the host
	maps    []syscall.SysProcIDMap
	run     []string // instead of program
	before  string   // shell commands that come first, if there is no image
}

const (
	container = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
	ownTmp    = syscall.CLONE_NEWNS // as PrivateTmp of systemd
	user      = syscall.CLONE_NEWUSER
)

const (
	withTmp = "mkdir -m 1777 tmp"
	// shm is what container engines mount in every container.
	shm      = "mkdir -p dev/shm && mount -t tmpfs -o mode=1777 none dev/shm"
	readOnly = "mount -o remount,bind,ro ."
)

// numberOfUsers is no constant, since it does not fit into an int of 32 bits.
var numberOfUsers int64 = 4294967295

var (
	everyUser = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: int(numberOfUsers)}}
	someUsers = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
)

var places = []place{
	{name: "scratch: no /tmp, no /dev/shm, root", program: "program", kind: container, image: "true"},
	{name: "distroless: uid 65532", program: "program", uid: 65532, kind: container, image: withTmp},
	{name: "nobody: uid 65534", program: "program", uid: nobody, kind: container, image: withTmp},
	{name: "file capabilities: CAP_NET_BIND_SERVICE", program: "capable", uid: 65532, kind: container, image: withTmp},
	{name: "read-only root, a tmpfs at /tmp", program: "program", uid: 65532, kind: container,
		image: withTmp + " && mount -t tmpfs -o mode=1777 none tmp && " + readOnly},
	{name: "read-only root, /dev/shm only", program: "program", uid: 65532, kind: container, image: withTmp + " && " + shm + " && " + readOnly},
	{name: "user namespace that maps every uid, uid 65534", program: "program", uid: nobody, kind: container | user, image: withTmp, maps: everyUser},
	{name: "user namespace that maps uids 0 to 65535, root", program: "program", kind: container | user, image: withTmp, maps: someUsers},
	{name: "own /tmp (PrivateTmp), uid 12345", program: "program", uid: alice, kind: ownTmp},
	{name: "Go library in a C program, uid 12345", program: "counter", uid: alice, kind: container},
}

// dockerCapabilities are those that Docker and containerd give to a container by default.
// CAP_SYS_PTRACE is not among them.
const (
	dockerCapabilities uint64 = 0xa80425fb
	sysPtrace                 = 1 << 19
)

// hostUID returns the uid that the host has for the program.
func (p place) hostUID() int {
	if p.maps != nil {
		return p.maps[0].HostID + p.uid
	}
	return p.uid
}

// matrixFolder returns a folder with the client, the programs and what starts them. In
// each container it is mounted at /mnt. It is made once.
func matrixFolder(t *testing.T) string {
	t.Helper()
	need(t, "setcap", "libcap2-bin")
	for _, pkg := range []string{"../cmd/oneshot", "./program"} {
		plain(t, pkg)
	}
	dir, err := madeMatrixFolder()
	require.NoError(t, err)
	if whyNoC(t) == "" {
		require.NoError(t, builtLibrary())
	}
	return dir
}

var madeMatrixFolder = sync.OnceValues(func() (string, error) {
	binaries := filepath.Dir(server)
	dir := filepath.Join(binaries, "mnt")
	program, err := os.ReadFile(filepath.Join(binaries, "program"))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	capable := filepath.Join(dir, "capable")
	if err := os.WriteFile(capable, program, 0o755); err != nil {
		return "", err
	}
	if out, err := exec.Command("setcap", "cap_net_bind_service=+ep", capable).CombinedOutput(); err != nil {
		return "", fmt.Errorf("setcap: %w: %s", err, out)
	}
	for name, file := range map[string]string{"oneshot": "..-cmd-oneshot", "server": "server", "program": "program"} {
		if err := os.Link(filepath.Join(binaries, file), filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, nil
})

// start starts the program of a place. dir is the matrixFolder.
func (p place) start(t *testing.T, dir string) *child {
	t.Helper()
	root := shortDir(t)
	script := "mount --make-rprivate / && "
	if p.image != "" {
		script += "mount -t tmpfs -o mode=755 none " + root + " && cd " + root + " && mkdir mnt proc && mount --bind " + dir + " mnt && mount -t proc proc proc && " +
			p.image + " && exec chroot . "
	} else {
		script += "mount --bind " + dir + " /mnt && mount -t tmpfs -o mode=1777 none /tmp && cd / && "
		if p.kind&syscall.CLONE_NEWPID != 0 {
			script += "mount -t proc proc /proc && "
		}
		if p.before != "" {
			script += p.before + " && "
		}
		script += "exec "
	}
	run, ready := p.run, "nc -U" // of examples/server
	if run == nil {
		run, ready = []string{"/mnt/" + p.program, "deadlocked"}, "ready"
	}
	cmd := exec.Command("sh", "-c", script+fmt.Sprintf(`/mnt/program become %d %x "$@"`, p.uid, dockerCapabilities), "sh")
	cmd.Args = append(cmd.Args, run...)
	cmd.SysProcAttr = p.namespaces()
	return start(t, cmd, ready)
}

// namespaces makes a command run as root of new namespaces.
func (p place) namespaces() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: uintptr(p.kind), UidMappings: p.maps, GidMappings: p.maps, GidMappingsEnableSetgroups: p.maps != nil,
		Credential: &syscall.Credential{Uid: 0, Gid: 0},
	}
}

// buildable skips a row of the matrix that this machine cannot have.
func (p place) buildable(t *testing.T) {
	t.Helper()
	if why := whyNoC(t); p.program == "counter" && why != "" {
		t.Skip(why)
	}
	var files unix.Statfs_t
	require.NoError(t, unix.Statfs(filepath.Dir(server), &files))
	if p.program == "capable" && files.Flags&unix.ST_NOSUID != 0 {
		t.Skip("needs a folder for temporary files that is not mounted with nosuid; set TMPDIR")
	}
	script := "mount --make-rprivate / && mount -t tmpfs none /mnt"
	if p.kind&syscall.CLONE_NEWPID != 0 {
		script += " && mount -t proc proc /proc"
	}
	cmd := testwait.Command(t, "sh", "-c", script)
	cmd.SysProcAttr = p.namespaces()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("this machine does not allow these namespaces and mounts: %v: %s", err, out)
	}
}

// The columns of the matrix: from where somebody comes.

// visitor is somebody who wants to enter.
type visitor struct {
	name string // in docs/deploy.md
	// words returns what stands before the client, and where the folder with the
	// client is.
	words func(p place, pid int, dir string) (before []string, folder string)
	host  bool // he sees the host's pids
}

var visitors = []visitor{
	{"exec", inTheContainer, false},
	{"ephemeral, SYS_PTRACE", func(p place, pid int, dir string) ([]string, string) {
		return beside(p, pid, dir, 0, dockerCapabilities|sysPtrace)
	}, false},
	{"ephemeral", func(p place, pid int, dir string) ([]string, string) {
		return beside(p, pid, dir, 0, dockerCapabilities)
	}, false},
	{"host root", func(_ place, _ int, dir string) ([]string, string) { return nil, dir }, true},
	{"host, same uid", func(p place, _ int, dir string) ([]string, string) {
		if p.hostUID() == 0 {
			return nil, dir // he is the host's root
		}
		return as(p.hostUID()), dir
	}, true},
}

// enterNamespaces returns the flags of nsenter for the namespaces of a container.
func (p place) enterNamespaces(pid int, flags ...string) []string {
	words := []string{"nsenter", "--target", strconv.Itoa(pid)}
	if p.kind&user != 0 {
		words = append(words, "--user")
	}
	if p.kind&syscall.CLONE_NEWPID != 0 {
		words = append(words, "--pid", "--net", "--ipc", "--uts")
	}
	return append(append(words, flags...), "--")
}

// inTheContainer is docker exec or kubectl exec: the same namespaces, files, user and
// capabilities. The image contains the client.
func inTheContainer(p place, pid int, _ string) ([]string, string) {
	return append(p.enterNamespaces(pid, "--mount", "--root", "--wd"), "/mnt/program", "become", strconv.Itoa(p.uid), fmt.Sprintf("%x", dockerCapabilities)), "/mnt"
}

// beside is an ephemeral container (kubectl debug --target): with other files, and in the
// other namespaces of the container.
func beside(p place, pid int, dir string, uid int, capabilities uint64) ([]string, string) {
	script := "mount --bind " + dir + " /mnt && mount -t proc proc /proc && mount -t tmpfs -o mode=1777 none /tmp && exec \"$@\""
	return append(p.enterNamespaces(pid), "unshare", "--mount", "--", "sh", "-c", script, "sh", "/mnt/program", "become", strconv.Itoa(uid), fmt.Sprintf("%x", capabilities)), "/mnt"
}

// pid returns the pid of the program as the visitor sees it.
func (v visitor) pid(t *testing.T, pid int) int {
	t.Helper()
	if v.host {
		return pid
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			words := strings.Fields(ids)
			inner, err := strconv.Atoi(words[len(words)-1])
			require.NoError(t, err)
			return inner
		}
	}
	require.FailNow(t, "the status has no line NSpid")
	return 0
}

// run runs a command as a visitor. The command oneshot is the client.
func (v visitor) run(t *testing.T, p place, pid int, dir string, words ...string) (stdout, stderr string, status int) {
	t.Helper()
	before, folder := v.words(p, pid, dir)
	argv := append(append(before, "env", "PATH="+folder+":"+os.Getenv("PATH")), words...)
	if p.image != "" && v.name == "exec" { // there is no env
		require.Equal(t, "oneshot", words[0], "the image has no other command")
		argv = append(append(before, folder+"/oneshot"), words[1:]...)
	}
	cmd := testwait.Command(t, argv[0], argv[1:]...)
	cmd.Dir = "/"
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the status says it
	require.NotNil(t, cmd.ProcessState, "%s was not started", cmd)
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
