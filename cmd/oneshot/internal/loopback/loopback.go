//go:build linux

// Package loopback serves HTTP to the person at this machine and to nobody else. A
// browser is no protection: every page on the web can make it send requests to
// 127.0.0.1. So the path begins with a random token, a request must name this server in
// its Host header, and requests that another site has caused are refused. The package
// does not know what is served.
package loopback

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Server is a listener that serves one handler.
type Server struct {
	listener net.Listener
	token    string // empty: none
	host     string // the host in the address, in lower case; empty if it is an IP address
	public   bool   // it does not listen on a loopback address
}

// Listen listens on an address such as 127.0.0.1:0. Without a host it is 127.0.0.1. If
// insecure is true, the path has no token.
func Listen(address string, insecure bool) (*Server, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is not an address such as 127.0.0.1:6060: %w", address, err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	s := &Server{}
	if s.listener, err = net.Listen("tcp", net.JoinHostPort(host, port)); err != nil {
		return nil, err
	}
	s.public = !s.listener.Addr().(*net.TCPAddr).IP.IsLoopback()
	if _, err := netip.ParseAddr(host); err != nil {
		s.host = strings.ToLower(host)
	}
	if !insecure {
		var token [16]byte
		_, _ = rand.Read(token[:]) // it never fails
		s.token = hex.EncodeToString(token[:])
	}
	return s, nil
}

// Public reports whether other machines can reach the server.
func (s *Server) Public() bool { return s.public }

// URL returns the address of the handler's root, with a slash at its end.
func (s *Server) URL() string {
	url := "http://" + s.listener.Addr().String() + "/"
	if s.token != "" {
		url += s.token + "/"
	}
	return url
}

// Close stops listening. It is for a server that does not serve.
func (s *Server) Close() error { return s.listener.Close() }

// The times that a request may take until it has come, and a connection may be unused.
const (
	headerTime = 10 * time.Second
	unusedTime = 2 * time.Minute
	maxHeader  = 64 << 10
)

// Serve serves requests until ctx ends. Then it ends the running ones.
func (s *Server) Serve(ctx context.Context, h http.Handler) error {
	server := &http.Server{
		Handler: s.Guard(h), ReadHeaderTimeout: headerTime, IdleTimeout: unusedTime, MaxHeaderBytes: maxHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	err := server.Serve(s.listener)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Guard returns a handler that checks each request, removes the token from its path,
// and passes it on.
func (s *Server) Guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !s.isOurHost(r.Host):
			http.Error(w, "oneshot: the Host header does not name this server; use its address", http.StatusForbidden)
			return
		case r.Header.Get("Sec-Fetch-Site") == "cross-site":
			http.Error(w, "oneshot: another site has caused this request", http.StatusForbidden)
			return
		}
		if s.token == "" {
			h.ServeHTTP(w, r)
			return
		}
		token, _, found := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if !found || subtle.ConstantTimeCompare([]byte(token), []byte(s.token)) != 1 {
			http.Error(w, "oneshot: not found; the path begins with the token that oneshot has printed", http.StatusNotFound)
			return
		}
		// The token must not get to other servers with a link in a page.
		w.Header().Set("Referrer-Policy", "no-referrer")
		http.StripPrefix("/"+s.token, h).ServeHTTP(w, r)
	})
}

// isOurHost reports whether a Host header may name this server. Another site can have a
// name of its own lead to our address (DNS rebinding), but then the header has that name.
func (s *Server) isOurHost(header string) bool {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = header
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		return s.public || addr.Unmap().IsLoopback()
	}
	return host == "localhost" || s.host != "" && host == s.host
}
