package trigger

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// calls are the system calls of this package. Tests replace them, since most of their
// errors cannot be brought about otherwise.
type calls struct {
	open     func(path string, flags int, mode os.FileMode) (*os.File, error)
	fstat    func(fd int, st *unix.Stat_t) error
	content  func(f *os.File) ([]byte, error) // the beginning of the file
	inotify  func(flags int) (fd int, err error)
	addWatch func(fd int, path string, mask uint32) (watch int, err error)
	fcntl    func(fd uintptr, cmd, arg int) (int, error)
}

var kernel = calls{
	open:     os.OpenFile,
	fstat:    unix.Fstat,
	content:  beginning,
	inotify:  unix.InotifyInit1,
	addWatch: unix.InotifyAddWatch,
	fcntl:    unix.FcntlInt,
}

func beginning(f *os.File) ([]byte, error) {
	text := make([]byte, 64)
	n, err := io.ReadFull(f, text)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return text[:n], err
}
