// Package conns reads what the kernel knows of the TCP connections of a process: when the
// last byte came and went, and whether the other host has acknowledged what was sent. It
// does not read from the connections, and knows nothing about goroutines.
package conns

import (
	"net/netip"
	"slices"
	"time"
)

// Conn is one TCP connection.
type Conn struct {
	Local, Remote netip.AddrPort
	Accepted      bool          // the process listens on the local port, so somebody else has opened it
	Connecting    bool          // the other host has not answered yet
	Sent          time.Duration // since the last byte was sent, or since it was opened
	Received      time.Duration // since the last byte came, or since it was opened
	Empty         bool          // no byte has ever come
	Unacked       int           // the number of bytes that the other host has not acknowledged
}

// Waits reports whether the last byte went to the other side, which owes an answer. sure
// is false if the kernel cannot say what was the last: its clock has steps of up to 10 ms.
func (c Conn) Waits() (waits, sure bool) {
	if c.Connecting || c.Empty {
		return true, true
	}
	return c.Sent <= c.Received, c.Sent < c.Received
}

// maxConns is how many descriptors are looked at. One takes a few microseconds.
const maxConns = 16384

// markAccepted sets Accepted. listening are the ports on which the process listens.
func markAccepted(all []Conn, listening []uint16) {
	slices.Sort(listening)
	for i := range all {
		_, all[i].Accepted = slices.BinarySearch(listening, all[i].Local.Port())
	}
}
