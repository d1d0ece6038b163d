package command

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// Greeting returns the first line of a session of this process. It is prepared in advance
// so that it can be sent at once.
func Greeting(pid int) []byte {
	info, _ := debug.ReadBuildInfo() // nil without build information
	return []byte(Identity(executable(), pid, info, runtime.Version(), runtime.GOOS, runtime.GOARCH))
}

// executable returns the name of the program's file.
func executable() string {
	if exe, err := os.Executable(); err == nil {
		return filepath.Base(exe)
	}
	return "a Go program"
}

// Identity returns the first line of a session, which says what program this is. info
// may be nil. If the line is longer than a terminal is wide, the revision is left out,
// then the system, and then the end of the module's path and version. The command build
// shows all of it.
func Identity(name string, pid int, info *debug.BuildInfo, release, goos, goarch string) string {
	head := fmt.Sprintf("%s, pid %d, ", plaintext.Clip(name, width/2), pid)
	tail := fmt.Sprintf("%s %s/%s", release, goos, goarch)
	if info == nil || info.Main.Path == "" {
		return head + tail + "\n"
	}
	module, revision := version(info), revisionText(info)
	room := width - len(head) - len(", ")
	switch {
	case len(module)+len(revision)+len(tail) <= room:
		module += revision
	case len(module)+len(tail) > room:
		tail = release
		if room -= len(tail); len(module) > room {
			module = plaintext.Clip(module, max(room-len("..."), 0))
		}
	}
	return head + module + ", " + tail + "\n"
}

// ProcessOf returns what a document says about a process, whose executable has that name.
// p is nil if the process is over.
func ProcessOf(p *procfs.Process, name string, pid int, info *debug.BuildInfo, release, goos, goarch string) document.Process {
	d := document.Process{Name: name, PID: pid, At: time.Now().UTC().Format(time.RFC3339Nano), Go: release, OS: goos, Arch: goarch}
	if p != nil {
		d.Host, _ = os.Hostname() // empty if it is not known
		if start, err := procfs.StartTime(p.Dir); err == nil {
			d.Start, d.Uptime = start, procfs.Uptime(start).Seconds()
		}
	}
	if info == nil {
		return d
	}
	d.Module, d.Version = cmp.Or(info.Main.Path, info.Path), info.Main.Version
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			d.Revision = s.Value
		case "vcs.modified":
			d.Modified = s.Value == "true"
		}
	}
	return d
}

// self returns what a document says about this process.
func self() document.Process {
	info, _ := debug.ReadBuildInfo() // nil without build information
	return ProcessOf(procfs.Self(), executable(), os.Getpid(), info, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// ModuleVersion returns the main module, its version, and the revision it was built
// from, as far as the binary contains them. Without a module it returns the path of the
// main package. info may be nil.
func ModuleVersion(info *debug.BuildInfo) string {
	if info == nil {
		return ""
	}
	return version(info) + revisionText(info)
}

// version returns the main module and its version.
func version(info *debug.BuildInfo) string {
	text := cmp.Or(info.Main.Path, info.Path)
	if info.Main.Version != "" {
		text += " " + info.Main.Version
	}
	return text
}

// revisionText returns the revision from which a program was built, in parentheses. It
// is empty if the binary does not contain it.
func revisionText(info *debug.BuildInfo) string {
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	rev := settings["vcs.revision"]
	if rev == "" {
		return ""
	}
	text := " (" + plaintext.Clip(rev, 12)
	if settings["vcs.modified"] == "true" {
		text += ", modified"
	}
	return text + ")"
}
