//go:build linux && !oneshot_noproc

package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// This file: the session that waits for the next request of oneshot serve.

// session returns the session that waits for a command, or opens a window and a session.
// Only one request does so at a time. If a session is being opened for the next command,
// it is this one's.
func (p *profiled) session(ctx context.Context) (*net.UnixConn, error) {
	select {
	case p.connecting <- struct{}{}:
		defer func() { <-p.connecting }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if conn := p.takeWarm(); conn != nil {
		return conn, nil
	}
	return p.connect()
}

func (p *profiled) connect() (*net.UnixConn, error) {
	return connect(p.target, p.options, frames(protocol.Wishes{}))
}

// answerFirst returns a handler that sends the whole answer. Only then it opens the
// session for the next request, which then needs no time for its window: to open one
// keeps the program and this process busy for as long as a small profile.
func (p *profiled) answerFirst(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		_ = http.NewResponseController(w).Flush() // if the client has gone, there is nobody to tell
		go p.keepWarm()
	})
}

// warmTime is how long a session waits for the next command. A scraper comes back every
// 15 seconds. Later, nothing of ours is left in the program.
const warmTime = 20 * time.Second

// keepWarm opens a session for the next command, if a command has run and there is no
// session yet.
func (p *profiled) keepWarm() {
	p.connecting <- struct{}{}
	defer func() { <-p.connecting }()
	p.mu.Lock()
	needed := p.wanted && p.warm == nil && !p.shut
	p.wanted = false
	p.mu.Unlock()
	if !needed {
		return
	}
	conn, err := p.connect()
	if err != nil {
		return // the next command reports it
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		conn.Close()
		return
	}
	p.warm = conn
	p.cold = time.AfterFunc(warmTime, func() {
		if conn := p.takeWarm(); conn != nil {
			conn.Close()
		}
	})
}

// takeWarm returns the session that waits for a command, or nil if there is none or if it
// has ended.
func (p *profiled) takeWarm() *net.UnixConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	conn := p.warm
	if conn == nil {
		return nil
	}
	p.warm = nil
	p.cold.Stop()
	if !isWaiting(conn) {
		conn.Close()
		return nil
	}
	return conn
}

// close closes the session that waits for a command, also if it is being opened: nobody
// would close the window after us.
func (p *profiled) close() {
	p.mu.Lock()
	p.shut = true
	p.mu.Unlock()
	select {
	case p.connecting <- struct{}{}:
	case <-time.After(time.Second): // the program does not answer
	}
	if conn := p.takeWarm(); conn != nil {
		conn.Close()
	}
}

// isWaiting reports whether a session waits for its command. It has sent an empty frame,
// and nothing else.
func isWaiting(conn *net.UnixConn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	var frame [protocol.HeaderSize + 1]byte
	n := 0
	controlErr := raw.Control(func(fd uintptr) {
		n, _, err = unix.Recvfrom(int(fd), frame[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	if controlErr != nil || err != nil || n != protocol.HeaderSize {
		return false
	}
	poll := []unix.PollFd{{Events: unix.POLLRDHUP}}
	controlErr = raw.Control(func(fd uintptr) {
		poll[0].Fd = int32(fd)
		_, err = unix.Poll(poll, 0)
	})
	return controlErr == nil && err == nil && poll[0].Revents == 0
}
