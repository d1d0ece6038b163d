//go:build linux

package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gomanhole/oneshot"
)

// serving is an HTTP server with clients that keep it busy. Goroutines come and go, and
// there is garbage to collect. Its locals are served, the number of answered requests, and
// atRest, the number of goroutines while no request is running.
func init() {
	conditions["serving"] = func([]string) {
		var (
			served atomic.Int64
			load   sync.RWMutex // read-locked by each request, locked to have no requests
		)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		check(err)
		server := &http.Server{Handler: http.HandlerFunc(serveSums)}
		go func() { check(server.Serve(l)) }()
		install(func(o *oneshot.Options) {
			o.Locals = map[string]any{
				"served": func() any { return served.Load() },
				"atRest": func() any {
					load.Lock()
					defer load.Unlock()
					return runtime.NumGoroutine()
				},
			}
		})
		const clients = 4
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
		for range clients {
			go func() {
				for {
					load.RLock()
					check(request(client, "http://"+l.Addr().String()))
					served.Add(1)
					load.RUnlock()
					time.Sleep(time.Millisecond)
				}
			}()
		}
		await("1000 answers", func() (bool, any) { return served.Load() >= 1000, served.Load() })
		ready()
		select {}
	}
}

// serveSums computes an answer with several goroutines.
func serveSums(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	check(err)
	sums := make([][sha256.Size]byte, 4)
	var workers sync.WaitGroup
	for i := range sums {
		workers.Go(func() { sums[i] = sha256.Sum256(append([]byte{byte(i)}, text...)) })
	}
	workers.Wait()
	for _, sum := range sums {
		fmt.Fprintf(w, "%x\n", sum)
	}
}

func request(client *http.Client, url string) error {
	resp, err := client.Post(url, "text/plain", strings.NewReader(strings.Repeat("x", 4<<10)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && strings.Count(string(text), "\n") != 4 {
		err = fmt.Errorf("the answer is %q", text)
	}
	return err
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
