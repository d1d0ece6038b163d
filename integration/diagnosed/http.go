//go:build linux

package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"
)

// HTTP servers and their clients.

// startHTTPServer starts a server and its clients: idle keep-alive connections,
// streams of events, and hijacked connections.
func startHTTPServer() {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") })
	mux.HandleFunc("/events", serveEvents)
	mux.HandleFunc("/socket", serveSocket)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	srv := &http.Server{Handler: mux}
	go srv.Serve(l)
	url := "http://" + l.Addr().String()
	for range 10 {
		client := hold(&http.Client{Transport: &http.Transport{}})
		resp := must(client.Get(url + "/hello"))
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	for range 2 {
		client := &http.Client{Transport: &http.Transport{}}
		go followEvents(must(client.Get(url + "/events")))
	}
	for range 4 {
		c := must(net.Dial("tcp", l.Addr().String()))
		_, _ = io.WriteString(c, "GET /socket HTTP/1.1\r\nHost: ordinary\r\n\r\n")
		hold(c)
	}
}

func serveEvents(w http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(15 * time.Second)
	defer ticker.Stop()
	for {
		_, _ = io.WriteString(w, "data: alive\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return
		}
	}
}

func followEvents(resp *http.Response) {
	defer resp.Body.Close()
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		_ = s.Text()
	}
}

func serveSocket(w http.ResponseWriter, _ *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	send := hold(make(chan []byte))
	go writePump(c, send)
	readPump(rw)
}

func writePump(c net.Conn, send <-chan []byte) {
	ping := time.NewTicker(50 * time.Second)
	for {
		select {
		case b := <-send:
			_, _ = c.Write(b)
		case <-ping.C:
		}
	}
}

func readPump(r io.Reader) {
	buf := make([]byte, 512)
	for {
		if _, err := r.Read(buf); err != nil {
			return
		}
	}
}

func startHTTP2() {
	srv := httptest.NewUnstartedServer(http.NotFoundHandler())
	srv.EnableHTTP2 = true
	srv.StartTLS()
	resp := must(hold(srv).Client().Get(srv.URL))
	_ = resp.Body.Close()
}
