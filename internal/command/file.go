package command

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gomanhole/oneshot/internal/vitals"
)

// checkNewFile returns the error that creating a new file of that name would
// return.
func checkNewFile(name string) error {
	_, err := os.Lstat(name)
	switch {
	case err == nil:
		return fmt.Errorf("%s: %w; -o needs the name of a file that does not exist yet", name, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; -o needs the name of a file that does not exist yet", err)
	case os.IsPathSeparator(name[len(name)-1]):
		return fmt.Errorf("%s is a folder; give the name of a new file in it", name)
	}
	// Only a real attempt shows whether a file can be created: permissions may be
	// missing, and the file system may be read-only or full. The test file has
	// another name, because somebody may be waiting for a file called name.
	f, err := os.CreateTemp(filepath.Dir(name), ".oneshot-*")
	if err != nil {
		return fmt.Errorf("cannot create a file in %s: %w; give another folder", filepath.Dir(name), err)
	}
	_ = f.Close()
	return os.Remove(f.Name())
}

// toFile writes a new file with mode 0600. It creates the file at the first write,
// so nothing is created if write fails before that.
func toFile(s io.Writer, name string, write func(io.Writer) error) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s: %w; -o needs the name of a file that does not exist yet", name, fs.ErrExist)
	}
	f := &newFile{name: name}
	b := bufio.NewWriterSize(f, 64<<10)
	err := cmp.Or(write(b), b.Flush())
	if f.File != nil {
		err = cmp.Or(err, f.Close())
	}
	if err != nil && f.n > 0 {
		return fmt.Errorf("%w; %s has what was written before", err, name)
	}
	if err != nil {
		f.remove()
		return err
	}
	fmt.Fprintf(s, "%s written to %s\n", vitals.Bytes(f.n), name)
	return nil
}

// newFile is a file that its first Write creates.
type newFile struct {
	*os.File
	name string
	made fs.FileInfo
	n    uint64 // bytes written
}

// Write creates the file if this is the first call, and writes p to it.
func (f *newFile) Write(p []byte) (n int, err error) {
	if f.File == nil {
		// With O_EXCL, open follows no symbolic link and fails if the file exists.
		if f.File, err = os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			f.File = nil
			if errors.Is(err, fs.ErrNotExist) {
				return 0, fmt.Errorf("%w; -o needs a folder that exists, as the program sees it: proc cwd shows the program's folder", err)
			}
			return 0, fmt.Errorf("%w; -o needs the name of a file that does not exist yet", err)
		}
	}
	if f.made == nil {
		f.made, _ = f.Stat()
	}
	n, err = f.File.Write(p)
	f.n += uint64(n)
	return n, err
}

// remove removes the file, if it was created and name still refers to it.
func (f *newFile) remove() {
	if now, err := os.Lstat(f.name); err == nil && f.made != nil && os.SameFile(now, f.made) {
		_ = os.Remove(f.name)
	}
}
