package main

import (
	"errors"
	"io"
	"net"
	"syscall"
)

// pipe copies what in has to the session and what the session says to out, as a
// filter does: when in ends, the writing side is closed (the session then answers
// all that it was sent) and the rest is read. It returns when the session has
// ended, with in read no further than needed, and has closed conn then.
func pipe(conn *net.UnixConn, in io.Reader, out io.Writer) error {
	sent := make(chan error, 1)
	go func() {
		_, err := io.Copy(conn, in)
		if isGone(err) { // what it has said before is still to be read
			err = nil
		}
		_ = conn.CloseWrite()
		sent <- err
	}()
	_, err := io.Copy(struct{ io.Writer }{out}, conn) // without splice(2), whose errors say nothing
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

// isGone reports whether a write has failed because nobody reads any more.
func isGone(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed)
}
