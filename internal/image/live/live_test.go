//go:build linux

package live

import (
	"math/rand/v2"
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestPiecesThatCannotBeRead reads more pieces than the kernel takes at once, of which
// some are not in the process or only in part. Each of the others is read.
func TestPiecesThatCannotBeRead(t *testing.T) {
	page := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 20*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, unix.Munmap(memory)) })
	for i := range memory {
		memory[i] = byte(rand.Uint32())
	}
	const hole = 10 // this page cannot be read
	require.NoError(t, unix.Mprotect(memory[hole*page:(hole+1)*page], unix.PROT_NONE))
	start := uint64(uintptr(unsafe.Pointer(&memory[0])))

	pieces := make([]image.Piece, 3000)
	want := make([][]byte, len(pieces))
	for i := range pieces {
		at, n := rand.IntN(19*page), rand.IntN(page)
		pieces[i] = image.Piece{Addr: start + uint64(at), Bytes: make([]byte, n)}
		switch {
		case i%100 == 0:
			pieces[i].Addr = 8
			if n == 0 {
				pieces[i].Bytes = make([]byte, 1)
			}
		case n == 0 || at+n <= hole*page || at >= (hole+1)*page:
			want[i] = memory[at : at+n]
		}
	}
	p := &Process{pid: os.Getpid()}
	p.ReadPieces(pieces)
	unreadable := 0
	for i, piece := range pieces {
		if want[i] == nil {
			require.Error(t, piece.Err, "piece %d", i)
			unreadable++
			continue
		}
		require.NoError(t, piece.Err, "piece %d", i)
		require.Equal(t, want[i], piece.Bytes, "piece %d", i)
	}
	require.Greater(t, unreadable, 50)
}

// TestPiecesOfAProcessThatHasEnded reads nothing, and every piece says so.
func TestPiecesOfAProcessThatHasEnded(t *testing.T) {
	child := testwait.Start(t, testwait.Command(t, "sh", "-c", "echo ready"), "ready")
	testwait.Receive(t, child.Ended, "the end of sh")
	p := &Process{pid: child.Process.Pid}
	pieces := make([]image.Piece, 5)
	for i := range pieces {
		pieces[i] = image.Piece{Addr: 4096, Bytes: make([]byte, 8)}
	}
	p.ReadPieces(pieces)
	for _, piece := range pieces {
		require.ErrorIs(t, piece.Err, unix.ESRCH)
	}
}
