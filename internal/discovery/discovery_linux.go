package discovery

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/gomanhole/oneshot/internal/exefile"
	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
)

// Read reads a process. The error is ErrNoProcess if there is no such process, or
// if it ends during the reading. The error is ErrNotPermitted if we may not read
// one of its files; the error names the file. In this case Read also returns the
// process, with the fields that every user may read: all up to Start.
func Read(pid int) (*Process, error) { return make(programs).read(pid) }

// All reads every process. It returns the Go programs among the processes that we
// may read, ordered by pid.
func All() ([]*Process, error) {
	found, _, err := Scan()
	return found, err
}

// Scan is like All, and also returns the processes that we may not read, with the fields
// that Read fills in then. Even with an error, it returns the processes that it found.
func Scan() (found, denied []*Process, err error) {
	names, err := pids()
	if err != nil {
		return nil, nil, err
	}
	cache := make(programs)
	var failed []error
	for _, pid := range names {
		p, err := cache.read(pid)
		switch {
		case errors.Is(err, ErrNoProcess):
		case errors.Is(err, ErrNotPermitted):
			if p != nil {
				denied = append(denied, p)
			}
		case err != nil:
			failed = append(failed, err)
		case p.IsGo:
			found = append(found, p)
		}
	}
	return found, denied, errors.Join(failed...)
}

func pids() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot list the processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			all = append(all, pid)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("/proc contains no processes; is it mounted?")
	}
	slices.Sort(all)
	return all, nil
}

// errChanged means that between two steps the pid was given to another process, or
// the process executed another program.
var errChanged = errors.New("it changed again and again during the reading")

func (cache programs) read(pid int) (*Process, error) {
	var p *Process
	var err error
	for range 5 {
		if p, err = cache.readOnce(pid); !errors.Is(err, errChanged) {
			break
		}
	}
	if err != nil {
		err = fmt.Errorf("process %d: %w", pid, err)
	}
	return p, err
}

func (cache programs) readOnce(pid int) (*Process, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	start, err := procfs.StartTime(dir)
	if err != nil {
		return nil, explain(dir+"/stat", err)
	}
	status, err := procfs.ReadStatus(dir)
	if err != nil {
		return nil, explain(dir+"/status", err)
	}
	p := &Process{PID: pid, Start: start, Name: procfs.Name(pid)}
	if err := p.fromStatus(status); err != nil {
		return nil, err
	}
	if p.running {
		err = cache.look(p, dir)
	}
	if again, startErr := procfs.StartTime(dir); startErr != nil {
		return nil, explain(dir+"/stat", startErr)
	} else if again != start {
		return nil, errChanged
	}
	if err != nil && !errors.Is(err, ErrNotPermitted) {
		return nil, err
	}
	return p, err
}

// explain converts an error of reading a process's file to ErrNoProcess or
// ErrNotPermitted, if it means that.
func explain(file string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH):
		return ErrNoProcess
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w to read %s", ErrNotPermitted, file)
	}
	return err
}

func (p *Process) fromStatus(status procfs.Status) error {
	// A thread has a directory in /proc too, but no listing shows it.
	if tgid := status["Tgid"]; tgid != strconv.Itoa(p.PID) {
		return fmt.Errorf("%w of process %.20s", ErrThread, tgid)
	}
	uids := strings.Fields(status["Uid"])
	if len(uids) < 2 {
		return errors.New("the status file has no line Uid")
	}
	var err1, err2 error
	p.UID, err1 = strconv.Atoi(uids[0])
	p.EUID, err2 = strconv.Atoi(uids[1])
	if err := cmp.Or(err1, err2); err != nil {
		return fmt.Errorf("the line Uid of the status file: %w", err)
	}
	for _, word := range strings.Fields(status["NSpid"]) {
		inner, err := strconv.Atoi(word)
		if err != nil {
			return fmt.Errorf("the line NSpid of the status file: %w", err)
		}
		p.Inner = append(p.Inner, inner)
	}
	_, p.running = status["VmSize"]
	p.Stopped = strings.HasPrefix(status["State"], "T") || strings.HasPrefix(status["State"], "t")
	p.Ended = strings.HasPrefix(status["State"], "Z")
	return nil
}

// look reads the files for which we need the permission to trace the process
// (ptrace(2)).
func (cache programs) look(p *Process, dir string) error {
	exe, err := os.Open(dir + "/exe")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the process is ending
	}
	if err != nil {
		return explain(dir+"/exe", err)
	}
	defer exe.Close()
	info, err := exe.Stat()
	if err != nil {
		return err
	}
	build := cache.build(exe, info)
	p.fromBuild(build)
	if err := p.place(dir); err != nil {
		return err
	}
	if !p.IsGo {
		if err := cache.lookForLibrary(p, dir); err != nil {
			return err
		}
	} else if p.Notice, err = readNotice(dir + "/maps"); err != nil {
		return explain(dir+"/maps", err)
	}
	now, err := os.Stat(dir + "/exe")
	if err != nil {
		return explain(dir+"/exe", err)
	}
	if !os.SameFile(info, now) {
		return errChanged
	}
	return nil
}

// place finds out whether the process has the same files and network as we do.
func (p *Process) place(dir string) error {
	mnt, err := os.Readlink(dir + "/ns/mnt")
	if err != nil {
		return explain(dir+"/ns/mnt", err)
	}
	ourMnt, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	root, err := os.Stat(dir + "/root")
	if err != nil {
		return explain(dir+"/root", err)
	}
	ourRoot, err := os.Stat("/")
	if err != nil {
		return err
	}
	if mnt != ourMnt || !os.SameFile(root, ourRoot) {
		p.root = dir + "/root"
	}
	if p.net, err = os.Readlink(dir + "/ns/net"); err != nil {
		return explain(dir+"/ns/net", err)
	}
	p.ourNet, err = os.Readlink("/proc/self/ns/net")
	return err
}

func readNotice(maps string) (found *notice.Notice, err error) {
	err = eachLine(maps, func(line []byte) bool {
		if n, ok := notice.ParseLine(line); ok {
			found = &n
		}
		return found == nil
	})
	return found, err
}

// Bounds for a file of another process. A process with a million mappings has a
// maps file of about 64 MiB. A line can be long because a path can have 4 KiB, all
// of them escaped.
const (
	maxFile = 64 << 20
	maxLine = 32 << 10
)

// eachLine calls f for each line of a file until f returns false or maxFile bytes
// are read. It skips lines longer than maxLine.
func eachLine(name string, f func(line []byte) bool) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return eachLineOf(io.LimitReader(file, maxFile), f)
}

func eachLineOf(r io.Reader, f func(line []byte) bool) error {
	buf := bufio.NewReaderSize(r, maxLine)
	tooLong := false
	for {
		line, err := buf.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			tooLong = true
			continue
		}
		if line = bytes.TrimSuffix(line, []byte("\n")); len(line) > 0 && !tooLong && !f(line) {
			return nil
		}
		tooLong = false
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// programs caches the build information of executables. It is nil for an
// executable that is not a Go program.
type programs map[executable]*debug.BuildInfo

type executable struct {
	dev, ino uint64
	size     int64
	changed  syscall.Timespec
}

func (cache programs) build(file *os.File, info fs.FileInfo) *debug.BuildInfo {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return readBuild(file)
	}
	key := executable{uint64(st.Dev), st.Ino, st.Size, st.Ctim}
	build, ok := cache[key]
	if !ok {
		build = readBuild(file)
		cache[key] = build
	}
	return build
}

// readBuild reads the build information, and returns nil if there is none. It keeps
// only what a Process needs, in strings of a bounded length: a forged file can contain
// megabytes.
func readBuild(file *os.File) *debug.BuildInfo {
	info, err := exefile.BuildInfo(file)
	if err != nil {
		return nil
	}
	clip := func(s string) string { return strings.Clone(plaintext.Clip(s, 512)) }
	kept := &debug.BuildInfo{GoVersion: strings.Clone(plaintext.Clip(info.GoVersion, 64)), Path: clip(info.Path)}
	kept.Main.Path, kept.Main.Version = clip(info.Main.Path), clip(info.Main.Version)
	for _, dep := range info.Deps {
		if dep != nil && dep.Path == ModulePath {
			kept.Deps = append(kept.Deps, &debug.Module{Path: ModulePath})
			break
		}
	}
	for _, s := range info.Settings {
		if len(kept.Settings) < 2 && (s.Key == "vcs.revision" || s.Key == "vcs.modified") {
			kept.Settings = append(kept.Settings, debug.BuildSetting{Key: strings.Clone(s.Key), Value: clip(s.Value)})
		}
	}
	return kept
}
