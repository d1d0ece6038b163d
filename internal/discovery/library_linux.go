package discovery

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

// A program in C, or in another language, may have loaded a library in Go
// (-buildmode=c-shared). Its executable has no build information then, but its memory
// has the notice.

// maxLibraries is how many files in the memory of a process are read to find the library.
const maxLibraries = 256

// mapping is a file that a process executes, as its maps file names it.
type mapping struct {
	dev, ino uint64
	path     string
}

// lookForLibrary reads the notice of a process whose executable is no Go program, and
// fills in what is known of the library that has published it.
func (cache programs) lookForLibrary(p *Process, dir string) error {
	var files []mapping
	err := eachLine(dir+"/maps", func(line []byte) bool {
		if n, ok := notice.ParseLine(line); ok && p.Notice == nil {
			p.Notice = &n
		}
		if m, ok := parseMapping(line); ok && len(files) < maxLibraries && (len(files) == 0 || files[len(files)-1] != m) {
			files = append(files, m)
		}
		return true
	})
	if err != nil {
		return explain(dir+"/maps", err)
	}
	if p.Notice == nil {
		return nil
	}
	p.IsGo, p.Linked, p.Library = true, true, "a library"
	for _, m := range files {
		file, info, err := m.open(p.root)
		if err != nil {
			continue // it has been removed or replaced
		}
		build := cache.build(file, info)
		file.Close()
		if build != nil && imports(build) {
			p.fromBuild(build)
			p.Library = plaintext.Clip(path.Base(m.path), 255)
			break
		}
	}
	return nil
}

// parseMapping parses a line of a maps file (proc_pid_maps(5)) if it is of a file that
// may be executed:
//
//	7f6a6fa71000-7f6a6fc45000 r-xp 00071000 fe:00 10002462    /usr/lib/libcounter.so
func parseMapping(line []byte) (m mapping, ok bool) {
	var fields [5][]byte
	for i := range fields {
		if fields[i], line, ok = bytes.Cut(line, []byte(" ")); !ok {
			return mapping{}, false
		}
	}
	m.path = string(bytes.TrimLeft(line, " "))
	if len(fields[1]) < 3 || fields[1][2] != 'x' || !strings.HasPrefix(m.path, "/") {
		return mapping{}, false
	}
	text, minorText, _ := strings.Cut(string(fields[3]), ":")
	major, err1 := strconv.ParseUint(text, 16, 32)
	minor, err2 := strconv.ParseUint(minorText, 16, 32)
	ino, err3 := strconv.ParseUint(string(fields[4]), 10, 64)
	if errors.Join(err1, err2, err3) != nil {
		return mapping{}, false
	}
	m.dev, m.ino = unix.Mkdev(uint32(major), uint32(minor)), ino
	return m, true
}

// open opens the file for reading, if its path still leads to it. The user of the process
// may have put a link there, to a device for example, so nothing else is opened. On some
// file systems (btrfs, overlay before Linux 6.8) the numbers in a maps file are not those
// of stat(2); there the library is not found, and only its name and version are missing.
func (m mapping) open(root string) (*os.File, fs.FileInfo, error) {
	fd, err := unix.Open(root+m.path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || uint64(st.Dev) != m.dev || st.Ino != m.ino {
		return nil, nil, errChanged
	}
	file, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, info, nil
}
