// Package discovery finds Go processes and their manholes from outside. It reads
// data that other processes control: a notice, a name or build information can
// contain anything. Do not trust this data, and escape it before you print it.
package discovery

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/protocol"
)

// The reasons why a process could not be read.
var (
	ErrNoProcess    = errors.New("no such process")
	ErrThread       = fmt.Errorf("%w: it is a thread", ErrNoProcess)
	ErrNotPermitted = errors.New("not permitted")
)

// ModulePath is the path of the module that every program with a manhole contains.
const ModulePath = "github.com/gomanhole/oneshot"

// Process describes a process at one moment.
type Process struct {
	PID       int
	Inner     []int // its pids in the namespaces from ours to its own (NSpid of the status file)
	UID, EUID int
	Stopped   bool   // stopped by SIGSTOP or a tracer
	Ended     bool   // a zombie
	Name      string // at most 15 bytes; the process can choose it
	Start     uint64 // the start time in clock ticks since the boot; PID and Start together are unique

	// The build information of the executable, or of the library.
	IsGo     bool   // there is build information, or a library with a manhole
	Go       string // the version of Go
	Main     string // the main module, or the main package if there is no module
	Version  string // of the main module
	Revision string // of the version control system; ends in +dirty if files were modified
	Linked   bool   // the program contains this module
	Library  string // the program is not in Go, but has loaded this library, which is; its name, from the process

	Notice *notice.Notice // nil if there is none

	// Unread is the reason why the build information and the notice are not known. Nil:
	// they were read.
	Unread error

	root    string // /proc/PID/root, if the process sees other files than we do
	net     string // its network namespace; empty if not known
	ourNet  string // our network namespace; empty if not known
	running bool   // it has its own memory: it is not a kernel thread and has not ended
}

// InnerPID returns the pid of the process in its own namespace.
func (p *Process) InnerPID() int {
	if len(p.Inner) == 0 { // before Linux 4.1
		return p.PID
	}
	return p.Inner[len(p.Inner)-1]
}

// innerPath returns the path of the socket as the process itself sees it.
func (p *Process) innerPath() string {
	pattern := protocol.DefaultSocketPath
	if p.Notice != nil {
		pattern = p.Notice.Path
	}
	return p.fill(pattern)
}

// fill replaces %p in a path.
func (p *Process) fill(pattern string) string {
	return strings.ReplaceAll(pattern, "%p", strconv.Itoa(p.InnerPID()))
}

// SocketPath returns the path at which we can reach the socket of an open window.
// If the process has another mount namespace or root, the path goes through
// /proc/PID/root, and may be too long for a socket address. An abstract name is
// returned unchanged, and can be reached only if SameNet is true.
//
// The process has chosen the path, and a symbolic link in it can lead to one of
// our own files. A client that connects to it must check the credentials of its
// peer (SO_PEERCRED).
func (p *Process) SocketPath() string {
	path := p.innerPath()
	if strings.HasPrefix(path, "@") {
		return path
	}
	return p.root + path
}

// TriggerPath returns the path at which we can reach the trigger file of the process,
// or "" if it has none. The warning of SocketPath holds here too.
func (p *Process) TriggerPath() string {
	if p.Notice == nil || p.Notice.Trigger == "" {
		return ""
	}
	return p.root + p.Notice.Trigger
}

// SocketPaths returns SocketPath, and without a notice all default paths.
func (p *Process) SocketPaths() []string {
	if p.Notice != nil {
		return []string{p.SocketPath()}
	}
	var paths []string
	for _, pattern := range protocol.DefaultSocketPaths() {
		path := p.fill(pattern)
		if !strings.HasPrefix(path, "@") {
			path = p.root + path
		}
		paths = append(paths, path)
	}
	return paths
}

// SameNet reports whether the process is in our network namespace. Abstract
// sockets belong to a network namespace. The result is true also if the namespaces
// are not known.
func (p *Process) SameNet() bool { return p.net == "" || p.ourNet == "" || p.net == p.ourNet }

// imports reports whether a program contains this module.
func imports(info *debug.BuildInfo) bool {
	return info.Main.Path == ModulePath ||
		slices.ContainsFunc(info.Deps, func(dep *debug.Module) bool { return dep != nil && dep.Path == ModulePath })
}

// fromBuild fills in the fields that come from the build information.
func (p *Process) fromBuild(info *debug.BuildInfo) {
	if info == nil {
		return
	}
	p.IsGo, p.Go = true, info.GoVersion
	p.Main, p.Version = info.Main.Path, info.Main.Version
	if p.Main == "" {
		p.Main = info.Path
	}
	p.Linked = imports(info)
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
