//go:build linux && !oneshot_noproc

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/discovery"
)

// whichProcess says how to find out what there is to connect to.
const whichProcess = "oneshot ps lists the processes with a manhole"

// find returns the paths where the socket may be, and the process that must own it. The
// process is nil if it is not known.
func (t target) find(o connectOptions) (paths []string, p *discovery.Process, err error) {
	if t.pid != 0 {
		p, err = readProcess(t.pid)
	}
	if t.path == "" {
		if err != nil {
			return nil, nil, explainProcess(t, p, err)
		}
		if path := p.SocketPath(); strings.HasPrefix(path, "@") && !p.SameNet() {
			return nil, nil, fmt.Errorf("%s: its socket %s is an abstract socket in another network namespace; type: %s", t, path, inItsNetwork(t.pid))
		}
		return p.SocketPaths(), p, nil
	}
	// The number at the end of a path may mean anything. It is the pid if the
	// process with this pid has this path.
	if err != nil || p != nil && !slices.ContainsFunc(p.SocketPaths(), func(path string) bool { return samePath(t.path, path) }) {
		p = nil
	}
	if p == nil && o.signal != 0 {
		return nil, nil, fmt.Errorf("%s: this path does not tell which process should get %s; give the pid instead", t, signalText(o.signal))
	}
	return []string{t.path}, p, nil
}

// readProcess reads a process. If only its status may be read, but we may send it a
// signal, that is enough: the file of a program with capabilities and its memory belong
// to root, and a container may have no CAP_SYS_PTRACE.
func readProcess(pid int) (*discovery.Process, error) {
	p, err := discovery.Read(pid)
	if errors.Is(err, discovery.ErrNotPermitted) && p != nil && (os.Geteuid() == p.EUID || os.Geteuid() == 0) {
		p.Unread = err
		return p, nil
	}
	return p, err
}

func samePath(a, b string) bool {
	abs, err := filepath.Abs(a)
	return a == b || err == nil && abs == b
}

// findProcess returns the process of a target, which a path need not tell.
func (t target) findProcess(o connectOptions) (*discovery.Process, error) {
	_, p, err := t.find(o)
	if err == nil && p == nil {
		err = fmt.Errorf("%s: this path does not tell which process it is; give the pid instead", t)
	}
	return p, err
}
