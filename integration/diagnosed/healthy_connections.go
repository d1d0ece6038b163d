//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

func init() {
	healthy["keepalive"] = startKeepalive
}

// startKeepalive serves 10,000 idle connections. Their clients are in this process
// if it may have enough descriptors, and in a peer otherwise.
func startKeepalive() {
	const n = 10_000
	limit := int(limitFiles(40_000))
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "hello\n")
	}))
	if limit >= 24_000 {
		keepConnections(l.Addr().String(), n)
	} else {
		startPeer("connections", l.Addr(), min(n, limit/2))
	}
}

// keepConnections opens n connections, and then sends a request on one of them every
// 10 ms.
func keepConnections(address string, n int) {
	conns := make([]net.Conn, n)
	var connected atomic.Int64
	for part := range 8 {
		go func() {
			for i := part; i < n; i += 8 {
				conns[i] = must(net.Dial("tcp", address))
				hello(conns[i])
				connected.Add(1)
			}
		}()
	}
	waitUntil(func() bool { return connected.Load() == int64(n) }, fmt.Sprintf("%d connections", n))
	hold(conns)
	go func() {
		for range time.Tick(10 * time.Millisecond) {
			hello(conns[rand.IntN(n)])
		}
	}()
}

func hello(c net.Conn) {
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: healthy\r\n\r\n")
	if err != nil {
		panic(err)
	}
	resp := must(http.ReadResponse(bufio.NewReader(c), nil))
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
}
