package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/vitals"
)

var procCommand = &Command{
	Name: "proc", Args: "[FILE]", Summary: "show a file of /proc/self, such as status, limits, maps or net/sockstat",
	Help: "proc(5) explains the files. Without FILE, the command lists them. For a folder it shows the entries, and for a\n" +
		"link the target. It follows no link, reads at most 1 MiB, and refuses files that contain memory. Bytes that a\n" +
		"terminal cannot show appear as \\x and two digits. In cmdline and environ, which may contain secrets, each NUL\n" +
		"is shown as the end of a line. While the kernel writes maps, smaps, smaps_rollup or numa_maps, page faults and\n" +
		"mmap of the program wait: in a large program, many milliseconds for smaps.",
	Run: runProc,
}

// The limits of proc: bytes of a file, entries of a folder, and names in a path.
const (
	maxProcFile    = 1 << 20
	maxProcEntries = 1000
	maxProcDepth   = 4
)

func runProc(ctx context.Context, s Session, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("proc: one file at a time, not %d: proc %s", len(args), plaintext.Line(plaintext.Clip(args[0], 40)))
	}
	var path []string
	if len(args) == 1 {
		var err error
		if path, err = procPath(args[0]); err != nil {
			return fmt.Errorf("proc: %w", err)
		}
	}
	name := strings.Join(path, "/")
	at, err := openProc(path)
	if errors.Is(err, fs.ErrNotExist) && name != "" {
		return fmt.Errorf("proc: there is no %s; proc without a name lists what there is", plaintext.Line(plaintext.Clip(name, 80)))
	}
	if err == nil {
		defer unix.Close(at.fd)
		t := &dump.Writer{Ctx: ctx, W: s}
		switch at.mode & unix.S_IFMT {
		case unix.S_IFREG:
			err = at.showFile(t)
		case unix.S_IFDIR:
			err = at.list(t)
		case unix.S_IFLNK:
			var target string
			if target, err = linkAt(at.fd, ""); err == nil {
				t.Printf("%s -> %s\n", name, plaintext.Line(target))
			}
		default:
			err = fmt.Errorf("%s is neither a file nor a folder nor a link", plaintext.Line(name))
		}
		if err == nil {
			err = t.Err
		}
	}
	if err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	return nil
}

// procPath checks a path below /proc/self and splits it into names.
func procPath(name string) ([]string, error) {
	if strings.HasPrefix(name, "/") {
		return nil, fmt.Errorf("%s: name it as it stands in /proc/self: proc status", plaintext.Line(plaintext.Clip(name, 80)))
	}
	path := strings.Split(strings.TrimSuffix(name, "/"), "/")
	for _, part := range path {
		if part == "" || part == "." || part == ".." || strings.ContainsRune(part, 0) {
			return nil, fmt.Errorf("%s: no name may be empty, . or .. here", plaintext.Line(plaintext.Clip(name, 80)))
		}
	}
	if len(path) > maxProcDepth {
		return nil, fmt.Errorf("%s: at most %d names with / between: proc task/1/net/dev", plaintext.Line(plaintext.Clip(name, 80)), maxProcDepth)
	}
	switch last := path[len(path)-1]; {
	case last == "mem":
		return nil, errors.New("mem is the memory itself, not a text; see maps and smaps_rollup")
	case last == "pagemap" || strings.HasPrefix(last, "kpage"):
		return nil, fmt.Errorf("%s is a table of 8 bytes for every page, not a text; smaps_rollup has the sums", last)
	case last == "clear_refs":
		return nil, errors.New("clear_refs can only be written, which would change the process")
	case last == "channel":
		return nil, errors.New("reading a channel takes a request away from the daemon that it is for")
	}
	return path, nil
}

// procEntry is an entry of /proc/self, opened with O_PATH. Opening a file this way
// has no effect on it. If the entry is a link, the descriptor refers to the link
// itself.
type procEntry struct {
	fd   int
	mode uint32
	name string // for errors
}

// openProc opens the entry with that path, one directory after the other from
// /proc/self. No step follows a link, and no step may leave procfs through a mount.
func openProc(path []string) (procEntry, error) {
	at, err := openEntry(unix.AT_FDCWD, "/proc/self", unix.O_DIRECTORY|unix.O_PATH) // the only link that it follows
	for _, name := range path {
		if err != nil {
			break
		}
		var next procEntry
		next, err = openEntry(at.fd, name, unix.O_NOFOLLOW|unix.O_PATH)
		unix.Close(at.fd)
		at = next // no descriptor is open if openEntry has failed
	}
	return at, err
}

// openEntry opens an entry of a directory. It returns an error if the entry does
// not belong to procfs.
func openEntry(dir int, name string, flags int) (procEntry, error) {
	e := procEntry{name: name}
	failed := func(err error) (procEntry, error) {
		return procEntry{}, &fs.PathError{Op: "open", Path: plaintext.Line(name), Err: err}
	}
	var err error
	if e.fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0); err != nil {
		return failed(err)
	}
	var where unix.Statfs_t
	var what unix.Stat_t
	err = unix.Fstatfs(e.fd, &where)
	switch {
	case err != nil:
	case where.Type != unix.PROC_SUPER_MAGIC:
		err = errors.New("it is not of procfs; something else is mounted there")
	default:
		err = unix.Fstat(e.fd, &what)
	}
	if err != nil {
		unix.Close(e.fd)
		return failed(err)
	}
	e.mode = what.Mode
	return e, nil
}

// reopen opens the same entry for reading. /proc/self/fd/N leads to exactly the
// entry that was opened with O_PATH.
func (e procEntry) reopen() (*os.File, error) {
	again, err := openEntry(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", e.fd), unix.O_RDONLY)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: plaintext.Line(e.name), Err: errors.Unwrap(err)}
	}
	return os.NewFile(uintptr(again.fd), plaintext.Line(e.name)), nil
}

// showFile writes the contents of a file, at most maxProcFile bytes.
func (e procEntry) showFile(t *dump.Writer) error {
	f, err := e.reopen()
	if err != nil {
		return err
	}
	defer f.Close()
	data := make([]byte, 0, 64<<10)
	for len(data) <= maxProcFile && !t.Ended() {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := f.Read(data[len(data):min(cap(data), maxProcFile+1)])
		data = data[:len(data)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	whole := len(data) <= maxProcFile
	data = data[:min(len(data), maxProcFile)]
	showSafely(t, data, e.name == "cmdline" || e.name == "environ")
	if !whole {
		t.Printf("(cut off after %s; there is more)\n", vitals.Bytes(maxProcFile))
	}
	return nil
}

// showSafely writes text, with the codes of characters that could harm a terminal
// in their place. It ends the last line if the text does not.
func showSafely(t *dump.Writer, data []byte, nulEndsLine bool) {
	const piece = 16 << 10
	var b []byte
	last := byte('\n')
	for len(data) > 0 && !t.Ended() {
		b = b[:0]
		for len(data) > 0 && len(b) < piece {
			size := 1
			if data[0] == 0 && nulEndsLine {
				b = append(b, '\n')
			} else {
				b, size = plaintext.AppendEscaped(b, data)
			}
			data = data[size:]
		}
		last = b[len(b)-1]
		t.Printf("%s", b)
	}
	if last != '\n' {
		t.Printf("\n")
	}
}

// list writes the entries of a folder, at most maxProcEntries of them.
func (e procEntry) list(t *dump.Writer) error {
	dir, err := e.reopen()
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxProcEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	for _, entry := range entries[:min(len(entries), maxProcEntries)] {
		if t.Ended() {
			return nil
		}
		after := ""
		switch entry.Type() {
		case fs.ModeDir:
			after = "/"
		case fs.ModeSymlink:
			if target, err := linkAt(e.fd, entry.Name()); err == nil {
				after = " -> " + plaintext.Line(target)
			}
		}
		t.Printf("%s%s\n", plaintext.Line(entry.Name()), after)
	}
	if len(entries) > maxProcEntries {
		t.Printf("(cut off after %d; there are more)\n", maxProcEntries)
	}
	return nil
}

// linkAt returns the target of the link with that name in a folder. If the name is
// "", dir is itself the link.
func linkAt(dir int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dir, name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
