package hostpath

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// proc is where the files are that are read. Tests have another one.
const proc = "/proc"

// initialPIDs is the pid namespace of the host (PROC_PID_INIT_INO in the kernel's
// include/linux/proc_ns.h). The numbers of the other namespaces are not fixed.
const initialPIDs = "pid:[4026531836]"

// unknownPID is in place of the pid that the host has for a process in a container. The
// process cannot find it out.
const unknownPID = "PID-ON-THE-HOST"

// Of returns the path by which the host reaches a file that this process, whose pid is
// pid, knows as path. It returns "" if that is the same path, as far as can be known.
func Of(path string, pid int) string { return of(proc, path, pid) }

func of(proc, path string, pid int) string {
	pids, err := os.Readlink(proc + "/self/ns/pid")
	switch {
	case err != nil:
		return ""
	case pids != initialPIDs:
		return "/proc/" + unknownPID + "/root" + path
	case hasOwnFiles(proc, path):
		return "/proc/" + strconv.Itoa(pid) + "/root" + path
	}
	return ""
}

// hasOwnFiles reports whether this process sees another file at path than the first
// process does.
func hasOwnFiles(proc, path string) bool {
	own, err := os.Readlink(proc + "/self/ns/mnt")
	if err != nil {
		return false
	}
	if first, err := os.Readlink(proc + "/1/ns/mnt"); err == nil {
		return own != first
	}
	// Only root may read that of the first process. The own mounts tell: PrivateTmp of
	// systemd mounts a directory of /tmp over /tmp, and containers have an overlay.
	f, err := os.Open(proc + "/self/mountinfo")
	if err != nil {
		return false
	}
	defer f.Close()
	root, kind := mountOf(f, filepath.Dir(path))
	return root != "/" && root != "" || kind == "overlay"
}

// maxMountinfo is how many bytes are read of a list of mounts.
const maxMountinfo = 1 << 20

// mountOf returns the directory of its file system that is mounted where dir is, and
// the type of the file system. A line of the list (proc_pid_mountinfo(5)) is
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
func mountOf(mounts io.Reader, dir string) (root, kind string) {
	longest := 0
	lines := bufio.NewScanner(io.LimitReader(mounts, maxMountinfo))
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if !ok || len(fields) < 5 {
			continue
		}
		at := fields[4]
		covers := at == "/" || dir == at || strings.HasPrefix(dir, at+"/")
		if covers && len(at) >= longest { // a later mount covers an earlier one
			longest, root = len(at), fields[3]
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	return root, kind
}
