//go:build unix

package values

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestUnreadableMemory(t *testing.T) {
	page, err := unix.Mmap(-1, 0, 1<<16, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	defer unix.Munmap(page)
	require.NoError(t, unix.Mprotect(page, unix.PROT_NONE))

	text := Text(struct {
		Page  []byte
		After int
	}{page, 1})
	require.Regexp(t, `^struct \{ Page \[\]byte; After int \}\{\n  Page: !unreadable: .*\n  After: 1\n\}\n$`, text)
	require.Contains(t, Short(page, 200), "!unreadable: ")
}
