//go:build linux || darwin || freebsd

package main

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// pipe copies in to the session, and the output of the session to out. At the end of
// in it closes the writing side; the session then answers everything that it was sent.
// pipe returns when the session has ended, even if in has not. It closes conn.
func pipe(conn *net.UnixConn, in io.Reader, out io.Writer) error {
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, in)
		if sessionHasEnded(err) { // not an error: its output must still be read
			err = nil
		}
		_ = conn.CloseWrite()
		sent <- err
	}()
	_, err := io.Copy(struct{ io.Writer }{out}, conn) // the struct prevents splice(2), whose errors say nothing
	_ = conn.Close()
	if err != nil {
		return err
	}
	select {
	case err = <-sent:
	default: // in may have no end
	}
	return err
}

// sessionHasEnded reports whether a write has failed because the session does not
// read any more.
func sessionHasEnded(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}
