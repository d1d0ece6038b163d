package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/document"
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
		"mmap of the program wait: in a large program, many milliseconds for smaps." + jsonHelp,
	Flags: []string{jsonFlag}, Run: answers(findProc), complete: completeProc,
}

// The limits of proc: bytes of a file, entries of a folder, and names in a path.
const (
	maxProcFile    = 1 << 20
	maxProcEntries = 1000
	maxProcDepth   = 4
)

// procAnswer is the answer of proc.
type procAnswer struct {
	document.Proc
	data []byte // the contents of a file
	nul  bool   // a NUL ends a line
}

func findProc(ctx context.Context, s Session, args []string) (Answer, error) {
	if len(args) > 1 {
		return nil, fmt.Errorf("proc: one file at a time, not %d: proc %s", len(args), plaintext.Line(plaintext.Clip(args[0], 40)))
	}
	var path []string
	if len(args) == 1 {
		var err error
		if path, err = procPath(args[0]); err != nil {
			return nil, fmt.Errorf("proc: %w", err)
		}
	}
	a := &procAnswer{Proc: document.Proc{Head: document.Of("proc"), Path: strings.Join(path, "/")}}
	at, err := openProc(s.Process().Dir, path)
	if errors.Is(err, fs.ErrNotExist) && a.Path != "" {
		return nil, fmt.Errorf("proc: there is no %s; proc without FILE lists the files", plaintext.Line(plaintext.Clip(a.Path, 80)))
	}
	if err == nil {
		defer unix.Close(at.fd)
		switch at.mode & unix.S_IFMT {
		case unix.S_IFREG:
			err = a.read(ctx, at)
		case unix.S_IFDIR:
			err = a.list(ctx, at)
		case unix.S_IFLNK:
			a.Kind = "link"
			a.Target, err = linkAt(at.fd, "")
		default:
			err = fmt.Errorf("%s is neither a file nor a folder nor a link", plaintext.Line(a.Path))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("proc: %w", err)
	}
	return a, nil
}

// Text implements Answer.
func (a *procAnswer) Text(t *dump.Writer) {
	switch a.Kind {
	case "link":
		t.Printf("%s -> %s\n", a.Path, plaintext.Line(a.Target))
	case "file":
		showSafely(t, a.data, a.nul)
		if a.Cut {
			t.Printf("(cut off after %s; there is more)\n", vitals.Bytes(maxProcFile))
		}
	default:
		for _, e := range a.Entries {
			if t.Ended() {
				return
			}
			after := ""
			switch {
			case e.Target != "":
				after = " -> " + plaintext.Line(e.Target)
			case e.Kind == "folder":
				after = "/"
			}
			t.Printf("%s%s\n", plaintext.Line(e.Name), after)
		}
		if a.Cut {
			t.Printf("(cut off after %d; there are more)\n", maxProcEntries)
		}
	}
}

// read reads the contents of a file, at most maxProcFile bytes.
func (a *procAnswer) read(ctx context.Context, e procEntry) error {
	f, err := e.reopen()
	if err != nil {
		return err
	}
	defer f.Close()
	data := make([]byte, 0, 64<<10)
	for len(data) <= maxProcFile {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
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
	a.Kind, a.Cut = "file", len(data) > maxProcFile
	a.data, a.nul = data[:min(len(data), maxProcFile)], e.name == "cmdline" || e.name == "environ"
	return nil
}

// Elements returns the lines of the file. The text has up to a million bytes.
func (a *procAnswer) Elements(field string) func(yield func(any) bool) {
	if field != "lines" || len(a.data) == 0 {
		return nil
	}
	end := "\n"
	if a.nul {
		end = "\n\x00"
	}
	return func(yield func(any) bool) {
		for rest := string(a.data); rest != ""; {
			line := rest
			if i := strings.IndexAny(rest, end); i >= 0 {
				line, rest = rest[:i], rest[i+1:]
			} else {
				rest = ""
			}
			if !yield(line) {
				return
			}
		}
	}
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

// list reads the entries of a folder, at most maxProcEntries of them.
func (a *procAnswer) list(ctx context.Context, e procEntry) error {
	dir, err := e.reopen()
	if err != nil {
		return err
	}
	defer dir.Close()
	entries, err := dir.ReadDir(maxProcEntries + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	a.Kind, a.Cut = "folder", len(entries) > maxProcEntries
	for _, entry := range entries[:min(len(entries), maxProcEntries)] {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d := document.ProcEntry{Name: entry.Name(), Kind: "file"}
		switch entry.Type() {
		case fs.ModeDir:
			d.Kind = "folder"
		case fs.ModeSymlink:
			d.Kind = "link"
			d.Target, _ = linkAt(e.fd, entry.Name()) // it may be gone
		}
		a.Entries = append(a.Entries, d)
	}
	return nil
}

// completeProc returns the entries of /proc/self, or of the directory in word. It
// follows no links, as runProc does not.
func completeProc(_ Session, _ []string, word string) (names []string) {
	dir := word[:strings.LastIndexByte(word, '/')+1]
	if dir != "" {
		parts, err := procPath(dir)
		if err != nil {
			return nil
		}
		for i := range parts {
			if info, err := os.Lstat(path.Join("/proc/self", path.Join(parts[:i+1]...))); err != nil || !info.IsDir() {
				return nil
			}
		}
	}
	f, err := os.Open("/proc/self/" + dir)
	if err != nil {
		return nil
	}
	defer f.Close()
	entries, _ := f.ReadDir(maxProcEntries) // what was read before an error
	for _, e := range entries {
		name := dir + e.Name()
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	return names
}
