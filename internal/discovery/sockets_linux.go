package discovery

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Sockets are the listening unix sockets of the network namespaces that were
// looked at; each is read once. The zero value is ready.
type Sockets struct{ byNet map[string]listeners }

// listeners are the inodes of listening sockets by the name that they were
// bound to.
type listeners map[string][]string

// Windows is how many windows of a process are open. A socket keeps the name that
// it was bound to, which is the temporary one (unix_bind_bsd in the kernel's
// net/unix/af_unix.c), so that is what is looked for.
func (s *Sockets) Windows(p *Process) (int, error) {
	path := p.innerPath()
	return s.count(p.PID, p.net, func(name string) bool {
		return name == path || !strings.HasPrefix(path, "@") && strings.HasPrefix(name, path) && isTemporary.MatchString(name[len(path):])
	})
}

var isTemporary = regexp.MustCompile(`^\.[0-9a-f]{6}$`)

// ListensOn reports whether a process listens on a socket of that file name, or of
// that and the suffix of a temporary one, in whatever folder. Where its
// descriptors may not be read, a socket of somebody else's will do.
func ListensOn(pid int, base string) (bool, error) {
	var s Sockets
	n, err := s.count(pid, "", func(name string) bool {
		rest, ok := strings.CutPrefix(filepath.Base(name), base)
		return ok && (rest == "" || isTemporary.MatchString(rest))
	})
	return n > 0, err
}

// count counts the listening sockets that the process holds. The list is of all
// processes in the network namespace, in which a container may have the same
// pids and paths, so the descriptors decide.
func (s *Sockets) count(pid int, net string, is func(name string) bool) (int, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	all, ok := s.byNet[net]
	if !ok {
		var err error
		if all, err = readListeners(dir + "/net/unix"); err != nil {
			return 0, explain(dir+"/net/unix", err)
		}
		if net != "" {
			if s.byNet == nil {
				s.byNet = make(map[string]listeners)
			}
			s.byNet[net] = all
		}
	}
	wanted := make(map[string]bool)
	for name, inodes := range all {
		if is(name) {
			for _, inode := range inodes {
				wanted["socket:["+inode+"]"] = true
			}
		}
	}
	if len(wanted) == 0 {
		return 0, nil
	}
	held, err := countHeld(dir+"/fd", wanted)
	if errors.Is(err, fs.ErrPermission) {
		return len(wanted), nil
	}
	return held, err
}

// countHeld counts those of the sockets that are among the descriptors.
func countHeld(dir string, wanted map[string]bool) (int, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer folder.Close()
	held := make(map[string]bool)
	for {
		names, err := folder.Readdirnames(1024)
		for _, name := range names {
			if link, err := os.Readlink(dir + "/" + name); err == nil && wanted[link] {
				held[link] = true
			}
		}
		if err != nil || len(held) == len(wanted) {
			return len(held), nil
		}
	}
}

// acceptsConnections is the flag of a listening socket (__SO_ACCEPTCON in the
// kernel's net.h).
const acceptsConnections = 1 << 16

// readListeners reads /proc/PID/net/unix, whose lines are
//
//	Num       RefCount Protocol Flags    Type St Inode Path
//	00000000684177a7: 00000002 00000000 00010000 0001 01 20443 /tmp/manhole-41.0a1b2c
func readListeners(file string) (listeners, error) {
	all := make(listeners)
	err := eachLine(file, func(line []byte) bool {
		if name, inode, ok := parseListener(line); ok {
			all[name] = append(all[name], inode)
		}
		return true
	})
	return all, err
}

func parseListener(line []byte) (name, inode string, ok bool) {
	var fields [7][]byte
	for i := range fields {
		line = bytes.TrimLeft(line, " ")
		fields[i], line, ok = bytes.Cut(line, []byte(" "))
		if !ok {
			return "", "", false // one without a name
		}
	}
	flags, err := strconv.ParseUint(string(fields[3]), 16, 64)
	if err != nil || flags&acceptsConnections == 0 || len(line) == 0 {
		return "", "", false
	}
	return string(line), string(fields[6]), true
}
