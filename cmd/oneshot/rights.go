//go:build linux && !oneshot_noproc

package main

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/discovery"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// access is what the kernel looks at when one process wants to read another
// ("Ptrace access mode checking" in ptrace(2)).
type access struct {
	pid int

	uid, gid             int    // of this process
	permitted, effective uint64 // its capabilities

	uids, gids []int  // of the other process: real, effective, saved
	theirs     uint64 // its permitted capabilities
	dumpable   bool   // it has not given up, or never had, that its user may read it
	sameUsers  bool   // both are in one user namespace

	yama int // kernel.yama.ptrace_scope; 0 without Yama
}

// explainRights returns the error for a process that this one may not read: what is
// missing, and what to do.
func explainRights(p *discovery.Process, err error) error {
	a, readErr := readAccess(p.PID)
	if readErr != nil {
		if hasEnded(readErr) {
			return errHasEnded(p.PID)
		}
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	return fmt.Errorf("not permitted to read process %d: %s", p.PID, a.missing())
}

// missing says which right is missing, and what to do.
func (a *access) missing() string {
	reason, advice := a.explain()
	return reason + advice
}

// explain returns which right is missing, and what to do about it, which continues the
// sentence.
func (a *access) explain() (reason, advice string) {
	has := a.has(unix.CAP_SYS_PTRACE)
	same := func(id int) func(int) bool { return func(other int) bool { return other != id } }
	otherUser := slices.ContainsFunc(a.uids, same(a.uid)) || slices.ContainsFunc(a.gids, same(a.gid))
	switch {
	case a.yama == 3:
		return "kernel.yama.ptrace_scope is 3, with which no process may read another", "; this lasts until the next boot"
	case has && !a.sameUsers:
		return "it is in another user namespace, in which oneshot's CAP_SYS_PTRACE does not count",
			fmt.Sprintf("; run oneshot as root on the host, or in that namespace: nsenter -U -t %d", a.pid)
	case has:
		return "oneshot has CAP_SYS_PTRACE, so a security module (SELinux, AppArmor) or a seccomp filter refuses it",
			"; the kernel's log says which. In Docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
	case otherUser && a.uid == 0:
		return fmt.Sprintf("it belongs to %s", a.owner()), ", and " + a.remedy()
	case otherUser:
		return fmt.Sprintf("it belongs to %s", a.owner()), "; become that user, or " + a.remedy()
	case a.theirs&^a.permitted != 0:
		return fmt.Sprintf("it may do more than oneshot: it has %s", capabilities(a.theirs&^a.permitted)), "; " + a.remedy()
	case !a.dumpable:
		return "it does not let its own user read it (its program file is set-user-ID, has capabilities or is not readable, or it has called prctl(PR_SET_DUMPABLE))", "; " + a.remedy()
	case a.yama == 1:
		return "kernel.yama.ptrace_scope is 1, with which only the parent of a process may read it", "; sysctl kernel.yama.ptrace_scope=0, or " + a.remedy()
	case a.yama == 2:
		return "kernel.yama.ptrace_scope is 2, with which only CAP_SYS_PTRACE allows it", "; " + a.remedy()
	case !a.sameUsers:
		return "it is in another user namespace", "; " + a.remedy()
	}
	return "a security module (SELinux, AppArmor) or a seccomp filter refuses it", "; the kernel's log says which; " + a.remedy()
}

// has reports whether this process has a capability.
func (a *access) has(capability int) bool { return a.effective&(1<<capability) != 0 }

const noPtrace = "oneshot is root but has no CAP_SYS_PTRACE"

// remedy says how to get CAP_SYS_PTRACE, which overrules nearly everything. root has it,
// except in most containers.
func (a *access) remedy() string {
	const inAContainer = "In Docker: --cap-add SYS_PTRACE; in Kubernetes: kubectl debug --profile=general"
	if a.uid == 0 {
		return noPtrace + "; add it. " + inAContainer
	}
	return fmt.Sprintf("run oneshot as root: sudo oneshot %d. %s", a.pid, inAContainer)
}

// owner returns the user that the other process belongs to.
func (a *access) owner() string {
	i := slices.IndexFunc(a.uids, func(other int) bool { return other != a.uid })
	if i < 0 {
		return "another group"
	}
	id := a.uids[i]
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return fmt.Sprintf("uid %d (%s)", id, u.Username)
	}
	return fmt.Sprintf("uid %d", id)
}

// capabilityNames are those that a file of a service is likely to have.
var capabilityNames = map[int]string{
	unix.CAP_NET_BIND_SERVICE: "CAP_NET_BIND_SERVICE", unix.CAP_NET_RAW: "CAP_NET_RAW", unix.CAP_NET_ADMIN: "CAP_NET_ADMIN",
	unix.CAP_DAC_OVERRIDE: "CAP_DAC_OVERRIDE", unix.CAP_DAC_READ_SEARCH: "CAP_DAC_READ_SEARCH", unix.CAP_CHOWN: "CAP_CHOWN",
	unix.CAP_SETUID: "CAP_SETUID", unix.CAP_SETGID: "CAP_SETGID", unix.CAP_SYS_ADMIN: "CAP_SYS_ADMIN", unix.CAP_SYS_PTRACE: "CAP_SYS_PTRACE",
	unix.CAP_SYS_NICE: "CAP_SYS_NICE", unix.CAP_SYS_TIME: "CAP_SYS_TIME", unix.CAP_IPC_LOCK: "CAP_IPC_LOCK", unix.CAP_KILL: "CAP_KILL",
	unix.CAP_BPF: "CAP_BPF", unix.CAP_PERFMON: "CAP_PERFMON", unix.CAP_SYS_RESOURCE: "CAP_SYS_RESOURCE", unix.CAP_FOWNER: "CAP_FOWNER",
}

// capabilities returns the names of a few capabilities.
func capabilities(set uint64) string {
	var names []string
	for n := range 64 {
		if set&(1<<n) == 0 {
			continue
		}
		if len(names) == 4 {
			return strings.Join(names, ", ") + " and more"
		}
		name, ok := capabilityNames[n]
		if !ok {
			name = fmt.Sprintf("capability %d", n)
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// readAccess reads what every user may read of a process.
func readAccess(pid int) (*access, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	a := &access{pid: pid, uid: os.Getuid(), gid: os.Getgid(), sameUsers: true}
	ours, err := procfs.ReadStatus("/proc/self")
	if err != nil {
		return nil, err
	}
	status, err := procfs.ReadStatus(dir)
	if err != nil {
		return nil, err
	}
	a.permitted, _ = ours.Mask("CapPrm")
	a.effective, _ = ours.Mask("CapEff")
	a.theirs, _ = status.Mask("CapPrm")
	if a.uids, err = ids(status["Uid"]); err != nil {
		return nil, err
	}
	if a.gids, err = ids(status["Gid"]); err != nil {
		return nil, err
	}
	// The files of a process that is not dumpable belong to root (task_dump_owner in
	// fs/proc/base.c).
	info, err := os.Lstat(dir + "/exe")
	if err != nil {
		return nil, err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	a.dumpable = !ok || int(owner.Uid) == a.uids[1] && (a.uids[1] != 0 || readable(dir+"/exe"))
	us, _ := os.Readlink("/proc/self/ns/user")
	if them, err := os.Readlink(dir + "/ns/user"); err == nil {
		a.sameUsers = us == them
	} else if ids, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		// Who has CAP_SYS_PTRACE in the first user namespace may read every such link.
		a.sameUsers = strings.Join(strings.Fields(string(ids)), " ") == "0 0 4294967295"
	}
	if text, err := os.ReadFile("/proc/sys/kernel/yama/ptrace_scope"); err == nil {
		a.yama, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	return a, nil
}

// readable reports whether a file may be read. It tells for a process of root whether
// that is dumpable: the owner of its files is root in any case.
func readable(file string) bool {
	f, err := os.Open(file)
	if err == nil {
		f.Close()
	}
	return err == nil
}

// ids parses the first three numbers of a line Uid or Gid of a status file.
func ids(text string) (list []int, err error) {
	for _, word := range strings.Fields(text) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	if len(list) < 3 {
		return nil, fmt.Errorf("a line of the status file has only %d numbers", len(list))
	}
	return list[:3], nil
}
