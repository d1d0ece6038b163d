package discovery

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// Sockets caches the listening unix sockets of each network namespace, so that a
// list is read only once. The zero value is ready for use.
type Sockets struct{ byNet map[string]listeners }

// listeners maps the name to which sockets were bound to their inodes.
type listeners map[string][]string

// Windows returns the number of open windows of a process. In the kernel's list, a
// socket keeps the name to which it was bound, even if its file is renamed
// (unix_bind_bsd in net/unix/af_unix.c). A manhole binds to a temporary name, so
// Windows looks for temporary names too.
func (s *Sockets) Windows(p *Process) (int, error) { return s.WindowsAt(p, p.SocketPath()) }

// WindowsAt is like Windows, for one path of the process as SocketPath returns it.
func (s *Sockets) WindowsAt(p *Process, path string) (int, error) {
	path = strings.TrimPrefix(path, p.root)
	return s.count(p.PID, p.net, func(name string) bool {
		return name == path || !strings.HasPrefix(path, "@") && strings.HasPrefix(name, path) && protocol.IsTempSuffix(name[len(path):])
	})
}

// ListensOn reports whether a process listens on a socket with the file name base,
// or with base and the suffix of a temporary name, in any directory. If we may not
// read the process's descriptors, ListensOn cannot tell its sockets from those of
// other processes, and counts all of them.
func ListensOn(pid int, base string) (bool, error) {
	var s Sockets
	n, err := s.count(pid, "", func(name string) bool {
		rest, ok := strings.CutPrefix(filepath.Base(name), base)
		return ok && (rest == "" || protocol.IsTempSuffix(rest))
	})
	return n > 0, err
}

// count counts the listening sockets of a process with names for which match
// returns true. The kernel's list contains the sockets of all processes in the
// network namespace, and a container may use the same pids and paths. So count
// compares the list with the descriptors of the process.
func (s *Sockets) count(pid int, net string, match func(name string) bool) (int, error) {
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
		if match(name) {
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

// countHeld counts the wanted sockets that are among the descriptors in dir.
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
// kernel's include/linux/net.h).
const acceptsConnections = 1 << 16

// readListeners reads /proc/PID/net/unix. Its lines are:
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
			return "", "", false // a socket without a name
		}
	}
	flags, err := strconv.ParseUint(string(fields[3]), 16, 64)
	if err != nil || flags&acceptsConnections == 0 || len(line) == 0 {
		return "", "", false
	}
	return string(line), string(fields[6]), true
}
