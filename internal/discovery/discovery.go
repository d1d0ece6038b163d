// Package discovery finds Go processes and their manholes from outside. What it
// reads was written by other processes: a notice, a name or build information
// may say anything, and is to be neither trusted nor printed as it is.
package discovery

import (
	"bytes"
	"errors"
	"fmt"
	pathpkg "path"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// Why a process could not be read.
var (
	ErrNoProcess    = errors.New("no such process")
	ErrThread       = fmt.Errorf("%w, but a thread", ErrNoProcess)
	ErrNotPermitted = errors.New("not permitted")
)

// ModulePath is the module that a program with a manhole is linked with.
const ModulePath = "github.com/gomanhole/oneshot"

const defaultPath = protocol.DefaultSocketPath

// Process is a process as it was at one moment.
type Process struct {
	PID       int
	Inner     []int // its pids in the namespaces from ours to its own; NSpid of status
	UID, EUID int
	Stopped   bool   // by SIGSTOP or a tracer
	Ended     bool   // a zombie
	Name      string // at most 15 bytes, as it likes
	Start     uint64 // clock ticks since the boot; with PID it names the process for good

	IsGo     bool   // its build information could be read; what follows is from there
	Go       string // version
	Main     string // the main module, or the package where there is none
	Version  string // of the main module
	Revision string // of its version control, with +dirty
	Linked   bool   // with this module

	Notice *Notice // nil: none

	root    string // /proc/PID/root if paths mean other files there than here
	net     string // the network namespace; empty if not known
	ourNet  string
	running bool // it has memory of its own: no kernel thread, and has not ended
}

// InnerPID is the pid that the process itself knows.
func (p *Process) InnerPID() int {
	if len(p.Inner) == 0 { // before Linux 4.1
		return p.PID
	}
	return p.Inner[len(p.Inner)-1]
}

// innerPath is where the process itself sees its socket.
func (p *Process) innerPath() string {
	pattern := defaultPath
	if p.Notice != nil {
		pattern = p.Notice.Path
	}
	return strings.ReplaceAll(pattern, "%p", strconv.Itoa(p.InnerPID()))
}

// SocketPath is where the socket of an open window stands, as seen from here. It
// leads through /proc/PID/root where the process has another mount namespace
// or root, and may then be too long for a socket address. An abstract name
// stays as it is, and is of use where SameNet is true.
//
// The process has chosen it, and a link on the way leads to a file of ours. So
// whoever connects there has to ask who is at the other end (SO_PEERCRED).
func (p *Process) SocketPath() string {
	path := p.innerPath()
	if strings.HasPrefix(path, "@") {
		return path
	}
	return p.root + path
}

// SameNet reports whether the process has our network namespace, which abstract
// sockets belong to. It is true as well where that cannot be read.
func (p *Process) SameNet() bool { return p.net == "" || p.ourNet == "" || p.net == p.ourNet }

// fromBuild takes what there is to know from the build information.
func (p *Process) fromBuild(info *debug.BuildInfo) {
	if info == nil {
		return
	}
	p.IsGo, p.Go = true, info.GoVersion
	p.Main, p.Version = info.Main.Path, info.Main.Version
	if p.Main == "" {
		p.Main = info.Path
	}
	p.Linked = info.Main.Path == ModulePath
	for _, dep := range info.Deps {
		p.Linked = p.Linked || dep != nil && dep.Path == ModulePath
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			p.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && p.Revision != "" {
		p.Revision += "+dirty"
	}
}

// Notice is what a process says of its manhole in the name of a mapping.
type Notice struct {
	Oneshot, Activate string // names of signals, such as SIGUSR2; empty: none
	Path              string // of the socket, with %p for the pid; absolute, or @name
}

// ParseNotice finds the notice in the text of a maps file (proc_pid_maps(5)), the
// first if there are several.
func ParseNotice(maps []byte) (Notice, bool) {
	for line := range bytes.Lines(maps) {
		if n, ok := noticeInLine(line); ok {
			return n, true
		}
	}
	return Notice{}, false
}

// noticeInLine reads a line such as
//
//	7f28-7f29 r--p 00000000 00:01 21621    /memfd:oneshot:v1 signal=SIGUSR2 path=/tmp/manhole-%p (deleted)
//
// The path is the last word and may have blanks. Words that are not known are
// passed over, for those yet to come.
func noticeInLine(line []byte) (n Notice, ok bool) {
	text := strings.TrimSuffix(string(line), "\n")
	for range 5 { // address, permissions, offset, device, inode
		var found bool
		if _, text, found = strings.Cut(text, " "); !found {
			return Notice{}, false
		}
	}
	text, ok = strings.CutPrefix(strings.TrimLeft(text, " "), "/memfd:oneshot:v1 ")
	if !ok {
		return Notice{}, false
	}
	text, ok = strings.CutSuffix(text, " (deleted)")
	if !ok {
		return Notice{}, false
	}
	// The kernel writes a line feed in a name as \012 and nothing else so, not
	// even the backslash (show_map_vma in fs/proc/task_mmu.c).
	text = strings.ReplaceAll(text, `\012`, "\n")
	for {
		if path, ok := strings.CutPrefix(text, "path="); ok {
			n.Path = path
			break
		}
		var word string
		if word, text, ok = strings.Cut(text, " "); !ok {
			return Notice{}, false
		}
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "signal":
			n.Oneshot = value
		case "activate":
			n.Activate = value
		}
	}
	if !isSignalName(n.Oneshot) || !isSignalName(n.Activate) || !isSocketPath(n.Path) {
		return Notice{}, false
	}
	return n, true
}

// isSignalName takes what looks like the name of a signal, or none.
func isSignalName(s string) bool {
	if s == "" {
		return true
	}
	rest, ok := strings.CutPrefix(s, "SIG")
	return ok && rest != "" && len(rest) <= 12 && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-") == ""
}

func isSocketPath(path string) bool {
	if strings.ContainsRune(path, 0) {
		return false
	}
	if strings.HasPrefix(path, "@") {
		return len(path) > 1
	}
	return strings.HasPrefix(path, "/") && pathpkg.Clean(path) == path && path != "/"
}
