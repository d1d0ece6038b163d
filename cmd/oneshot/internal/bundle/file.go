//go:build unix

package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// File is a new file that gets its name when it is complete. Until then its name ends with
// Unfinished. It is never written through a link, and never replaces another file.
type File struct {
	*os.File
	dir  *os.File // the folder; from then on, nobody can put another one in its place
	path string
	temp string // without the folder
}

// Unfinished is how the name of a file ends that is not complete.
const Unfinished = ".unfinished"

// Create creates the file, with mode 0600. If there is one with that name, the error is
// fs.ErrExist.
func Create(path string) (*File, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: fs.ErrExist}
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f := &File{dir: dir, path: path}
	for n := 1; ; n++ {
		if f.temp = filepath.Base(path) + Unfinished; n > 1 {
			f.temp = fmt.Sprintf("%s.%d%s", filepath.Base(path), n, Unfinished)
		}
		fd, err := unix.Openat(int(dir.Fd()), f.temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			f.File = os.NewFile(uintptr(fd), filepath.Join(filepath.Dir(path), f.temp))
			return f, nil
		}
		if !errors.Is(err, unix.EEXIST) || n == 100 {
			dir.Close()
			return nil, &fs.PathError{Op: "create", Path: filepath.Join(filepath.Dir(path), f.temp), Err: err}
		}
	}
}

// Abandon closes a file that will not be complete, and removes it if nothing was written. It
// returns whether the file is kept.
func (f *File) Abandon() (kept bool) {
	defer f.dir.Close()
	info, err := f.Stat()
	f.Close()
	if err != nil || info.Size() > 0 {
		return true
	}
	return unix.Unlinkat(int(f.dir.Fd()), f.temp, 0) != nil
}

// Finish closes the file and gives it its name. If another file has that name now, the file
// keeps its own, which Name returns.
func (f *File) Finish() error {
	defer f.dir.Close()
	if err := f.Close(); err != nil {
		return err
	}
	dir, name := int(f.dir.Fd()), filepath.Base(f.path)
	err := renameNew(dir, f.temp, name)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: f.Name(), New: f.path, Err: err}
	}
	return nil
}
