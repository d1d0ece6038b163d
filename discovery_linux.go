package oneshot

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/unixsock"
	"golang.org/x/sys/unix"
)

// notice is a page of memory whose name stands in /proc/PID/maps, for the same
// user and root to read: which signal opens the manhole, and where. It costs no
// descriptor, and the page is never touched.
//
// It is a function and not the bytes, since whoever prints a *Manhole with %v
// would read those.
type notice struct{ unmap func() error }

// postNotice maps the page. Where that is refused (seccomp, for one) there is no
// notice, and the manhole is as good.
func postNotice(o Options) notice {
	fd, err := unix.MemfdCreate(noticeText(o), unix.MFD_CLOEXEC)
	if err != nil {
		return notice{}
	}
	defer unix.Close(fd)
	size := os.Getpagesize()
	if unix.Ftruncate(fd, int64(size)) != nil {
		return notice{}
	}
	page, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return notice{}
	}
	return notice{func() error { return unix.Munmap(page) }}
}

func (n notice) remove() {
	if n.unmap != nil {
		_ = n.unmap()
	}
}

// noticeText is what the name says: oneshot:v1 signal=SIGUSR2 path=/tmp/manhole-%p.
// The pid is left open, since another namespace has another.
func noticeText(o Options) string {
	words := []string{"oneshot:v1"}
	if o.OneshotOn != nil {
		words = append(words, "signal="+sigset.NameOf(o.OneshotOn))
	}
	if o.ActivateOn != nil {
		words = append(words, "activate="+sigset.NameOf(o.ActivateOn))
	}
	path := o.SocketPath
	if abs, err := filepath.Abs(path); err == nil && !unixsock.IsAbstract(path) {
		path = abs
	}
	return strings.Join(append(words, "path="+path), " ")
}
