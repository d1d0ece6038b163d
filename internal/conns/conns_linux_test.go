package conns

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// TestConns of this process, once as its own and once as those of another one: through the
// kernel's list, and through copies of the descriptors.
func TestConns(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	dial := func() (ours, theirs net.Conn) {
		ours, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		theirs, err = listener.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { ours.Close(); theirs.Close() })
		return ours, theirs
	}
	exchange := func(from, to net.Conn) {
		_, err := from.Write([]byte("hello"))
		require.NoError(t, err)
		_, err = to.Read(make([]byte, 5))
		require.NoError(t, err)
	}
	silent, _ := dial()
	asks, server := dial()
	exchange(asks, server)
	exchange(server, asks)
	idle, answered := dial()
	exchange(idle, answered)
	time.Sleep(50 * time.Millisecond) // longer than a step of the kernel's clock; more does no harm
	exchange(answered, idle)
	exchange(asks, server)

	another, err := procfs.Another(os.Getpid())
	require.NoError(t, err)
	defer another.Close()
	for name, read := range map[string]func() []Conn{
		"own":     Own,
		"another": func() []Conn { return Of(another) },
	} {
		all := read()
		find := func(c net.Conn) Conn {
			local, remote := addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())
			i := slices.IndexFunc(all, func(c Conn) bool { return c.Local == local && c.Remote == remote })
			require.GreaterOrEqual(t, i, 0, "%s: %v is not in %v", name, c.LocalAddr(), all)
			return all[i]
		}
		waits := func(c net.Conn) bool {
			waits, sure := find(c).Waits()
			return waits && sure
		}
		require.True(t, find(silent).Empty, name)
		require.True(t, waits(silent), "%s: no byte has come", name)
		require.False(t, find(asks).Empty, name)
		require.True(t, waits(asks), "%s: %+v", name, find(asks))
		require.False(t, waits(idle), "%s: %+v", name, find(idle))
		require.True(t, find(server).Accepted, name)
		require.False(t, find(asks).Accepted, name)
	}
}

// TestBytesThatAreNotAcknowledged are those for which the other side has no room.
func TestBytesThatAreNotAcknowledged(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetWriteDeadline(time.Now().Add(200*time.Millisecond)))
	for err == nil {
		_, err = conn.Write(make([]byte, 1<<20))
	}
	another, err := procfs.Another(os.Getpid())
	require.NoError(t, err)
	defer another.Close()
	local := addrPort(conn.LocalAddr())
	for name, read := range map[string]func() []Conn{"own": Own, "another": func() []Conn { return Of(another) }} {
		testwait.Eventually(t, func() bool {
			return slices.ContainsFunc(read(), func(c Conn) bool { return c.Local == local && c.Unacked > 0 })
		}, "%s: bytes that are not acknowledged", name)
	}
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// FuzzDiag shows that no message of the kernel's list makes the client fail.
func FuzzDiag(f *testing.F) {
	f.Add(make([]byte, sizeofDiagMessage+8))
	f.Fuzz(func(t *testing.T, message []byte) {
		d := diagnosis{sockets: map[uint32]int{0: 3}}
		d.add(message)
		require.LessOrEqual(t, len(d.all), len(message))
	})
}
