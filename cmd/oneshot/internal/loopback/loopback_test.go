//go:build linux

package loopback

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func listen(t *testing.T, address string, insecure bool) *Server {
	t.Helper()
	s, err := Listen(address, insecure)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// status returns what a request gets, and the path that the handler has seen.
func status(s *Server, path string, change func(*http.Request)) (code int, seen string) {
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.URL.Path })
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = s.listener.Addr().String()
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.Guard(h).ServeHTTP(w, r)
	return w.Code, seen
}

func TestOnlyThePathWithTheTokenIsServed(t *testing.T) {
	s := listen(t, "127.0.0.1:0", false)
	require.False(t, s.Public())
	require.Len(t, s.token, 32)
	require.Equal(t, "http://"+s.listener.Addr().String()+"/"+s.token+"/", s.URL())
	code, seen := status(s, "/"+s.token+"/debug/x", nil)
	require.Equal(t, http.StatusOK, code)
	require.Equal(t, "/debug/x", seen)
	for _, path := range []string{"/", "/debug/x", "/" + s.token[:31] + "/debug/x", "/" + s.token + "x/debug/x", "//debug/x", "/" + s.token} {
		code, seen := status(s, path, nil)
		require.Equal(t, http.StatusNotFound, code, path)
		require.Empty(t, seen)
	}
	require.NotEqual(t, s.token, listen(t, "127.0.0.1:0", false).token)
}

func TestARequestMustNameTheServer(t *testing.T) {
	s := listen(t, ":0", true)
	require.False(t, s.Public(), "without a host it is 127.0.0.1")
	for host, ok := range map[string]bool{
		"127.0.0.1:7": true, "localhost": true, "LOCALHOST:80": true, "localhost.:80": true, "[::1]:80": true, "::1": true, "127.0.0.9": true,
		"": false, "evil.example:7": false, "localhost.evil.example": false, "10.0.0.1:7": false, "127.0.0.1.evil.example": false,
		"xlocalhost": false,
	} {
		code, _ := status(s, "/x", func(r *http.Request) { r.Host = host })
		require.Equal(t, ok, code == http.StatusOK, host)
	}
	code, _ := status(s, "/x", func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	require.Equal(t, http.StatusForbidden, code)

	all := listen(t, "0.0.0.0:0", true)
	require.True(t, all.Public())
	code, _ = status(all, "/x", func(r *http.Request) { r.Host = "10.0.0.1:7" })
	require.Equal(t, http.StatusOK, code)
	code, _ = status(all, "/x", func(r *http.Request) { r.Host = "evil.example" })
	require.Equal(t, http.StatusForbidden, code, "a name can lead anywhere")
}

func TestServeEndsWithItsContext(t *testing.T) {
	s := listen(t, "localhost:0", false)
	ctx, cancel := context.WithCancel(t.Context())
	done, began := make(chan error, 1), make(chan struct{})
	go func() {
		done <- s.Serve(ctx, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(began)
			<-r.Context().Done() // the end of Serve ends requests
		}))
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if answer, err := http.Get(s.URL()); err == nil {
			_, _ = io.ReadAll(answer.Body)
			answer.Body.Close()
		}
	}()
	testwait.Receive(t, began, "the request")
	cancel()
	require.NoError(t, testwait.Receive(t, done, "the end of Serve"))
	testwait.Receive(t, ended, "the end of the request")
	_, err := net.Dial("tcp", s.listener.Addr().String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestAddressesThatAreNone(t *testing.T) {
	for _, address := range []string{"", "6060", "127.0.0.1", "127.0.0.1:no such port"} {
		_, err := Listen(address, false)
		require.Error(t, err, address)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, err = Listen(taken.Addr().String(), false)
	require.ErrorContains(t, err, "address already in use")
	require.True(t, strings.HasPrefix(listen(t, "localhost:0", true).URL(), "http://"))
}
