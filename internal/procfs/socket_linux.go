package procfs

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket describes a socket by its options and addresses.
func (d *Descriptor) socket(link string) {
	d.Kind, d.Target = "socket", link
	fd, release, err := d.process.files.socket(d.FD)
	switch {
	case errors.Is(err, unix.EBADF):
		d.Changed = true
		return
	case err != nil: // see Process.Sockets
		return
	}
	defer release()
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if errors.Is(err, unix.ENOTSOCK) || errors.Is(err, unix.EBADF) {
		// The link named a socket, and O_PATH does not open one. So the descriptor
		// was replaced since.
		d.Changed = true
		return
	}
	typ, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	proto, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	switch domain {
	case unix.AF_INET, unix.AF_INET6:
		d.internet(fd, typ, proto)
	case unix.AF_UNIX:
		d.unix(fd, typ)
	case unix.AF_NETLINK:
		d.Kind = "netlink"
	case unix.AF_PACKET:
		d.Kind = "packet"
	case unix.AF_VSOCK:
		d.Kind = "vsock"
	default:
		d.Detail = "family " + strconv.Itoa(domain)
	}
}

func (d *Descriptor) internet(fd, typ, proto int) {
	switch {
	case proto == unix.IPPROTO_TCP:
		d.Kind, d.State = "tcp", tcpState(fd)
	case proto == unix.IPPROTO_MPTCP: // Go listens with it since Go 1.24
		d.Kind, d.State, d.Detail = "tcp", tcpState(fd), "multipath"
	case proto == unix.IPPROTO_UDP:
		d.Kind = "udp"
	case typ == unix.SOCK_RAW:
		d.Kind, d.Detail = "raw", "protocol "+strconv.Itoa(proto)
	default:
		d.Kind, d.Detail = "inet", "protocol "+strconv.Itoa(proto)
	}
	local, peer := internetAddr(syscall.Getsockname(fd)), internetAddr(syscall.Getpeername(fd))
	if d.State == "" {
		d.State = connected(peer != "")
	}
	if local != "" {
		d.Target = local
	}
	if peer != "" {
		d.Target += " -> " + peer
	}
}

// unix describes a socket of AF_UNIX. The kernel records the pid of the peer when
// the socket connects or listens (SO_PEERCRED in unix(7)).
func (d *Descriptor) unix(fd, typ int) {
	d.Kind = "unix"
	switch typ {
	case unix.SOCK_DGRAM:
		d.Detail = "dgram"
	case unix.SOCK_SEQPACKET:
		d.Detail = "seqpacket"
	}
	local := unixAddr(syscall.Getsockname(fd))
	if local == "" {
		local = "unnamed"
	}
	d.Target = local
	if listens, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); listens != 0 {
		d.State = "LISTEN"
		return
	}
	sa, err := syscall.Getpeername(fd)
	d.State = connected(err == nil)
	if err != nil {
		return
	}
	peer := unixAddr(sa, nil)
	if peer == "" {
		peer = "unnamed"
	}
	d.Target += " -> " + peer
	if cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
		switch int(cred.Pid) {
		case 0: // the peer has no pid in this pid namespace, or it is a datagram socket
		case d.process.files.pid():
			d.Target += " (this process)"
		default:
			d.Target += fmt.Sprintf(" (pid %d)", cred.Pid)
		}
	}
}

func connected(yes bool) string {
	if yes {
		return "ESTAB"
	}
	return "UNCONN"
}

// tcpStates are the names in ss(8) of the states in the kernel's tcp_states.h,
// which begin at 1.
var tcpStates = [...]string{
	1: "ESTAB", "SYN-SENT", "SYN-RECV", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT",
	"UNCONN", "CLOSE-WAIT", "LAST-ACK", "LISTEN", "CLOSING", "SYN-RECV",
}

// tcpState returns the name of a TCP socket's state, or "" if the kernel does not
// report it.
func tcpState(fd int) string {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || int(info.State) >= len(tcpStates) {
		return ""
	}
	return tcpStates[info.State]
}

// internetAddr returns the address and port in the form of package net, or "" if
// there is none.
func internetAddr(sa syscall.Sockaddr, err error) string {
	if err != nil {
		return ""
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)).String()
	case *syscall.SockaddrInet6:
		addr := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 {
			addr = addr.WithZone(strconv.FormatUint(uint64(sa.ZoneId), 10))
		}
		return netip.AddrPortFrom(addr, uint16(sa.Port)).String()
	}
	return ""
}

// unixAddr returns the path or the @name, or "" if there is none.
func unixAddr(sa syscall.Sockaddr, err error) string {
	if sa, ok := sa.(*syscall.SockaddrUnix); ok && err == nil && sa.Name != "@" {
		return sa.Name
	}
	return ""
}
