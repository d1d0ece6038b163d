package conns

import (
	"context"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/procfs"
)

// The states of a connection in the kernel's tcp_states.h.
const (
	established = 1
	synSent     = 2
	closeWait   = 8
	listen      = 10
)

// Own returns the connections of this process. It asks the kernel about each descriptor by
// its number. There is no copy of a descriptor that would keep a connection open. If the
// program closes one meanwhile, and opens another one, the answers are about that one.
func Own() []Conn {
	numbers, err := procfs.Self().Numbers(context.Background(), maxConns)
	if err != nil {
		return nil
	}
	return read(numbers[:min(len(numbers), maxConns)])
}

func read(numbers []int) (all []Conn) {
	var listening []uint16
	for _, fd := range numbers {
		all, listening = appendConn(all, listening, fd)
	}
	markAccepted(all, listening)
	return all
}

// appendConn appends the connection of a descriptor to all, or its port to listening, or
// nothing if it is no TCP socket.
func appendConn(all []Conn, listening []uint16, fd int) ([]Conn, []uint16) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return all, listening
	}
	local := address(syscall.Getsockname(fd))
	switch info.State {
	case listen:
		return all, append(listening, local.Port())
	case established, synSent, closeWait:
	default:
		return all, listening
	}
	c := Conn{
		Local:      local,
		Remote:     address(syscall.Getpeername(fd)),
		Connecting: info.State == synSent,
		Sent:       time.Duration(info.Last_data_sent) * time.Millisecond,
		Received:   time.Duration(info.Last_data_recv) * time.Millisecond,
		Empty:      info.Bytes_received == 0,
	}
	c.Unacked, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) // zero if it is closed by now
	return append(all, c), listening
}

func address(sa syscall.Sockaddr, err error) netip.AddrPort {
	if err != nil {
		return netip.AddrPort{}
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
