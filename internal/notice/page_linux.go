package notice

import (
	"os"

	"golang.org/x/sys/unix"
)

// Page is a page of memory whose name is a notice. It needs no descriptor. Nothing reads
// or writes the page.
//
// Page contains a function and not the bytes: if somebody prints a *Manhole with %v,
// that must not read them.
type Page struct{ unmap func() error }

// Post maps the page. If the system refuses that (seccomp, for example), Post returns an
// empty Page, and the manhole works without a notice.
func Post(n Notice) Page {
	fd, err := unix.MemfdCreate(n.String(), unix.MFD_CLOEXEC)
	if err != nil {
		return Page{}
	}
	defer unix.Close(fd)
	size := os.Getpagesize()
	if unix.Ftruncate(fd, int64(size)) != nil {
		return Page{}
	}
	page, err := unix.Mmap(fd, 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return Page{}
	}
	return Page{func() error { return unix.Munmap(page) }}
}

// Remove unmaps the page.
func (p Page) Remove() {
	if p.unmap != nil {
		_ = p.unmap()
	}
}
