package conns

import (
	"context"
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/procfs"
)

// Of returns the connections of another process, or nil if they cannot be read. In our own
// network namespace, the kernel lists all connections (sock_diag(7)), and says nothing to
// the process. In another namespace, each socket is copied for the time of a few system
// calls; see procfs.Another.
func Of(p *procfs.Process) []Conn {
	numbers, err := p.Numbers(context.Background(), maxConns)
	if err != nil {
		return nil
	}
	sockets := make(map[uint32]int) // inodes, and one descriptor for each
	for _, fd := range numbers[:min(len(numbers), maxConns)] {
		link, _ := os.Readlink(p.Dir + "/fd/" + strconv.Itoa(fd)) // closed meanwhile: it is no socket
		if text, ok := strings.CutPrefix(link, "socket:["); ok {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 32); err == nil {
				sockets[uint32(inode)] = fd
			}
		}
	}
	if sameNetwork(p) {
		if all, err := diag(sockets); err == nil {
			return all
		}
	}
	var copies []Conn
	var listening []uint16
	for _, fd := range sockets {
		if p.WithCopy(fd, func(own int) { copies, listening = appendConn(copies, listening, own) }) != nil && p.Sockets() != nil {
			return nil // and none of the others
		}
	}
	markAccepted(copies, listening)
	return copies
}

func sameNetwork(p *procfs.Process) bool {
	own, err := os.Readlink("/proc/self/ns/net")
	its, itsErr := os.Readlink(p.Dir + "/ns/net")
	return err == nil && itsErr == nil && own == its
}

// The layout of the messages (linux/inet_diag.h). The numbers are in the byte order of the
// machine, but for addresses and ports.
const (
	sizeofDiagRequest = 56 // struct inet_diag_req_v2
	sizeofDiagMessage = 72 // struct inet_diag_msg
	diagInfo          = 2  // INET_DIAG_INFO, an attribute with a struct tcp_info
)

// maxDiag is how many messages are read at most. One is about 300 bytes.
const maxDiag = 500_000

// diag lists the connections of the network namespace and returns those of the sockets.
func diag(sockets map[uint32]int) ([]Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
		return nil, os.NewSyscallError("setsockopt", err)
	}
	d := diagnosis{sockets: sockets}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, unix.SizeofNlMsghdr+sizeofDiagRequest)
		binary.NativeEndian.PutUint32(request, uint32(len(request)))
		binary.NativeEndian.PutUint16(request[4:], unix.SOCK_DIAG_BY_FAMILY)
		binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
		body := request[unix.SizeofNlMsghdr:]
		body[0], body[1], body[2] = family, unix.IPPROTO_TCP, 1<<(diagInfo-1)
		binary.NativeEndian.PutUint32(body[4:], 1<<established|1<<synSent|1<<closeWait|1<<listen)
		if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, os.NewSyscallError("sendto", err)
		}
		if err := d.receive(fd); err != nil {
			return nil, err
		}
	}
	markAccepted(d.all, d.listening)
	return d.all, nil
}

// diagnosis collects what the kernel lists.
type diagnosis struct {
	sockets   map[uint32]int
	all       []Conn
	listening []uint16
	messages  int
}

// receive reads messages until the end of the list.
func (d *diagnosis) receive(fd int) error {
	buf := make([]byte, 64<<10)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != 0 {
			continue // not the kernel
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.SizeofNlMsghdr || size > len(rest) {
				return unix.EBADMSG
			}
			switch binary.NativeEndian.Uint16(rest[4:]) {
			case unix.NLMSG_DONE:
				return nil
			case unix.NLMSG_ERROR:
				return unix.EOPNOTSUPP
			}
			if d.messages++; d.messages > maxDiag {
				return unix.E2BIG
			}
			d.add(rest[unix.SizeofNlMsghdr:size])
			rest = rest[min((size+3)&^3, len(rest)):]
		}
	}
}

// add adds the connection of a message, if it is one of the sockets.
func (d *diagnosis) add(message []byte) {
	if len(message) < sizeofDiagMessage {
		return
	}
	state := message[1]
	local := diagAddress(message[0], message[8:], message[4:])
	if state == listen {
		// The socket with which Go listens is of multipath TCP. It is not listed, but
		// another one for the same port, without its inode.
		d.listening = append(d.listening, local.Port())
		return
	}
	if _, ours := d.sockets[binary.NativeEndian.Uint32(message[68:])]; !ours {
		return
	}
	c := Conn{
		Local:      local,
		Remote:     diagAddress(message[0], message[24:], message[6:]),
		Connecting: state == synSent,
		Unacked:    int(binary.NativeEndian.Uint32(message[60:])),
	}
	for rest := message[sizeofDiagMessage:]; len(rest) >= 4; {
		size := int(binary.NativeEndian.Uint16(rest))
		if size < 4 || size > len(rest) {
			break
		}
		if binary.NativeEndian.Uint16(rest[2:]) == diagInfo {
			var info unix.TCPInfo
			copy(unsafe.Slice((*byte)(unsafe.Pointer(&info)), unsafe.Sizeof(info)), rest[4:size])
			c.Sent = time.Duration(info.Last_data_sent) * time.Millisecond
			c.Received = time.Duration(info.Last_data_recv) * time.Millisecond
			c.Empty = info.Bytes_received == 0
			d.all = append(d.all, c)
			return
		}
		rest = rest[min((size+3)&^3, len(rest)):]
	}
}

// diagAddress returns the address and the port that are at the beginning of two slices.
func diagAddress(family byte, addr, port []byte) netip.AddrPort {
	ip := netip.AddrFrom16([16]byte(addr[:16])).Unmap()
	if family == unix.AF_INET {
		ip = netip.AddrFrom4([4]byte(addr[:4]))
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(port))
}
