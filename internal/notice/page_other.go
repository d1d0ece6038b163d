//go:build !linux

package notice

// Page needs memfd_create and /proc/PID/maps, which only Linux has.
type Page struct{}

// Post does nothing.
func Post(Notice) Page { return Page{} }

// Remove does nothing.
func (Page) Remove() {}
