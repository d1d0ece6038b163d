//go:build linux && !oneshot_noproc

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/discovery"
)

// The functions below name the one command that lets a person in, where the client
// itself cannot do it. TestMatrix in integration runs each of these commands.

// wayIn returns the command that opens and enters the manhole of a process of which we
// may read the status only. sent is true if a signal did not help already. It returns ""
// if we are root of a user namespace in which the process is not.
func (a *access) wayIn(p *discovery.Process, sent bool) string {
	root, others := a.uid == 0, hasOtherFiles(p.PID)
	switch {
	case root && !ownsUID(p.EUID):
		return ""
	case root && a.has(unix.CAP_SETUID) && a.has(unix.CAP_SETGID) && a.dumpable && a.theirs == 0:
		// The user of the process may read it, and so finds its files and its signal.
		return fmt.Sprintf("setpriv --reuid %d --regid %d --clear-groups oneshot %d", p.EUID, a.gids[1], p.PID)
	case !sent && !others && (root || !a.moreThanUser()):
		return fmt.Sprintf("oneshot -2 %d", p.PID)
	case root:
		return fmt.Sprintf("kubectl debug -it POD --image=IMAGE --target=CONTAINER --profile=general -- oneshot %d"+
			" (or any other container with CAP_SYS_PTRACE and the same pids)", p.PID)
	case mapsRoot(p.PID):
		return fmt.Sprintf("sudo oneshot %d", p.PID)
	}
	return "sudo " + asRootOf(p.PID)
}

// moreThanUser reports whether the process lets only root enter, because of what it may do
// (package access).
func (a *access) moreThanUser() bool {
	const harmless = 1 << unix.CAP_NET_BIND_SERVICE
	mayNotTrace := !a.dumpable && a.theirs == 0 // and not because of a harmless capability
	return a.sameUsers && (a.theirs&^harmless != 0 || mayNotTrace)
}

// asRootOf returns the command with which root enters the manhole of a process as root of
// the user namespace of that process.
func asRootOf(pid int) string { return fmt.Sprintf("nsenter --user --target %d oneshot %[1]d", pid) }

// inItsNetwork returns the command that enters from the network namespace of a process,
// which has the abstract sockets.
func inItsNetwork(pid int) string {
	namespaces, sudo := "--net", ""
	if !mapsRoot(pid) {
		namespaces = "--user --net"
	}
	if os.Geteuid() != 0 {
		sudo = "sudo "
	}
	return fmt.Sprintf("%snsenter %s --target %d oneshot %[3]d", sudo, namespaces, pid)
}

// mapsRoot reports whether the user namespace of a process has a uid for the root of
// ours. Otherwise the process cannot tell our root from anybody else. It reports true if
// it cannot be found out.
func mapsRoot(pid int) bool {
	ours, err1 := os.ReadFile("/proc/self/uid_map")
	theirs, err2 := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/uid_map")
	if err1 != nil || err2 != nil || bytes.Equal(ours, theirs) {
		return true
	}
	// The second number is the first uid as the reader has it (user_namespaces(7)).
	return inRanges(string(theirs), 1, 0)
}

// ownsUID reports whether a uid as we see it is a user of our user namespace, and not
// the one that stands for all others.
func ownsUID(uid int) bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || inRanges(string(text), 0, uint64(uid))
}

// inRanges reports whether a uid is in one of the ranges of a uid_map. Each line has the
// first uid inside of the namespace, the first one outside, and how many there are. The
// column says which of the two the uid is compared with.
func inRanges(text string, column int, uid uint64) bool {
	for line := range strings.Lines(text) {
		var n [3]uint64
		if read, _ := fmt.Sscan(line, &n[0], &n[1], &n[2]); read == len(n) && uid >= n[column] && uid-n[column] < n[2] {
			return true
		}
	}
	return false
}

// maxMountinfo is how many bytes are compared of a list of mounts.
const maxMountinfo = 4 << 20

// hasOtherFiles reports whether a process sees other files than we do: it is in another
// mount namespace, or has another root directory. Every user may read the list of its
// mounts, in which each mount has a number of its own (proc_pid_mountinfo(5)). It reports
// false if it cannot be found out.
func hasOtherFiles(pid int) bool {
	read := func(who string) ([]byte, error) {
		f, err := os.Open("/proc/" + who + "/mountinfo")
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxMountinfo))
	}
	ours, err1 := read("self")
	theirs, err2 := read(strconv.Itoa(pid))
	return err1 == nil && err2 == nil && !bytes.Equal(ours, theirs)
}
