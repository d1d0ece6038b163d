//go:build unix

package main

import (
	"net"
	"sync"
)

// maxUnsent is how many bytes may wait for a session that does not read.
const maxUnsent = 64 << 10

// sender writes to the session on a goroutine of its own, so that a person can
// leave one that does not read.
type sender struct {
	conn *net.UnixConn

	mu         sync.Mutex // guards what follows
	changed    sync.Cond
	unsent     []byte
	interrupts int
	last       bool // nothing comes after unsent
	closed     bool
}

func newSender(conn *net.UnixConn) *sender {
	s := &sender{conn: conn}
	s.changed.L = &s.mu
	return s
}

// line sends a line; false if too many wait. One that was typed before the
// latest interrupt, when there had been fewer, is thrown away as the session does
// it with those that it has.
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

// interrupt stops what the session runs, ahead of the lines that wait.
func (s *sender) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interrupts++
	s.unsent = []byte{ctrlC}
	s.changed.Broadcast()
}

// end closes the writing side when everything is sent.
func (s *sender) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = true
	s.changed.Broadcast()
}

// close ends run, but for a write that the connection still has to fail.
func (s *sender) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.changed.Broadcast()
}

// run sends until it is ended or the session is gone, which the reader notices.
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
