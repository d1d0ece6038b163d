// Command caddy embeds the web server Caddy, which serves files and is a proxy for
// another server of the program. Its clients keep their connections.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/fileserver"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

const config = `{
  "admin": {"disabled": true, "config": {"persist": false}},
  "logging": {"logs": {"default": {"level": "ERROR"}}},
  "apps": {"http": {"servers": {"web": {
    "listen": [%q],
    "automatic_https": {"disable": true},
    "routes": [
      {"match": [{"path": ["/proxy/*"]}], "handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": %q}]}]},
      {"handle": [{"handler": "file_server", "root": %q}]}
    ]
  }}}}
}`

func serve(r *program.Run) string {
	program.Check(os.WriteFile(filepath.Join(r.Dir, "file.txt"), []byte("a file\n"), 0o600))
	behind := program.Must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { program.Fail(http.Serve(behind, http.HandlerFunc(answer))) }()
	address := program.Address()
	program.Check(caddy.Load(fmt.Appendf(nil, config, address, behind.Addr(), r.Dir), true))
	return address
}

func answer(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "an answer\n") }

const connections = 60

func clients(r *program.Run, address string) {
	paths := []string{"/file.txt", "/proxy/answer"}
	conns := make([]net.Conn, connections)
	for i := range conns {
		conns[i] = program.Must(net.Dial("tcp", address))
		program.Must(fmt.Fprintf(conns[i], "GET %s HTTP/1.1\r\nHost: healthy\r\n\r\n", paths[i%2]))
		resp := program.Must(http.ReadResponse(bufio.NewReader(conns[i]), nil))
		program.Must(io.Copy(io.Discard, resp.Body))
		program.Check(resp.Body.Close())
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	r.Work(16, func(_ context.Context, worker, i int) error {
		resp, err := client.Get("http://" + address + paths[(worker+i)%2])
		if err != nil {
			return err
		}
		if _, err = io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		return resp.Body.Close()
	})
	go func() { // so that the connections stay
		select {
		case <-context.Background().Done():
			fmt.Println(conns)
		}
	}()
}
