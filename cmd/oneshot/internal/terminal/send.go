//go:build unix

package terminal

import (
	"net"
	"sync"
)

// maxUnsent is how many bytes may wait while the session does not read.
const maxUnsent = 64 << 10

// sender writes to the session on its own goroutine. A session that does not read
// blocks only that goroutine, and the person can still leave.
type sender struct {
	conn *net.UnixConn

	mu         sync.Mutex // guards the fields below
	changed    sync.Cond
	unsent     []byte
	interrupts int
	last       bool // the writing side is closed after unsent
	closed     bool
}

func newSender(conn *net.UnixConn) *sender {
	s := &sender{conn: conn}
	s.changed.L = &s.mu
	return s
}

// line sends a line. It returns false if too many bytes wait already. interrupts is
// how many interrupts had been sent when the line was typed. If there have been
// more since, the line is discarded: the session also discards the lines that it
// got before an interrupt.
func (s *sender) line(text string, interrupts int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case interrupts < s.interrupts || s.last:
		return true
	case len(s.unsent)+len(text) >= maxUnsent:
		return false
	}
	s.unsent = append(append(s.unsent, text...), '\n')
	s.changed.Broadcast()
	return true
}

// interrupt stops the running command of the session. The lines that wait are
// discarded.
func (s *sender) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupts++
	s.unsent = []byte{ctrlC}
	s.changed.Broadcast()
}

// end closes the writing side after everything has been sent.
func (s *sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = true
	s.changed.Broadcast()
}

// close makes run return. A write that is in progress must be ended by closing the
// connection.
func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}

// run sends until close or end is called, or a write fails. It does not report the
// failure: the reader notices it too.
func (s *sender) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.closed:
			return
		case len(s.unsent) > 0:
			p := s.unsent
			s.unsent = nil
			s.mu.Unlock()
			_, err := s.conn.Write(p)
			s.mu.Lock()
			if err != nil {
				return
			}
		case s.last:
			_ = s.conn.CloseWrite()
			return
		default:
			s.changed.Wait()
		}
	}
}
