//go:build linux

package main

import (
	"bufio"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
)

// Goroutines that wait for a connection, a datagram or a reply.

// startTCPServer starts an echo server and six clients that wait for a reply.
func startTCPServer() {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go acceptLoop(l)
	for range 6 {
		c := must(net.Dial("tcp", l.Addr().String()))
		go readReplies(hold(c))
	}
}

func acceptLoop(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go serveLines(c)
	}
}

func serveLines(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, line)
	}
}

func readReplies(c net.Conn) {
	var header [8]byte
	for {
		if _, err := io.ReadFull(c, header[:]); err != nil {
			return
		}
	}
}

func startUnixServer() {
	l := must(net.Listen("unix", fmt.Sprintf("@ordinary-%d", os.Getpid()))) // the @ makes an abstract address, which leaves no file
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
}

func startStatsd() {
	for range 2 {
		c := must(net.ListenPacket("udp", "127.0.0.1:0"))
		go func() {
			buf := make([]byte, 1500)
			for {
				if _, _, err := c.ReadFrom(buf); err != nil {
					return
				}
			}
		}()
	}
}

func startSyslog() {
	name := fmt.Sprintf("@ordinary-log-%d", os.Getpid())
	c := must(net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"}))
	go func() {
		buf := make([]byte, 2048)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	}()
}

func startStreamDecoders() {
	for range 2 {
		here, there := net.Pipe()
		hold(there)
		go decodeEvents(here)
	}
}

func decodeEvents(r io.Reader) {
	for dec := json.NewDecoder(r); ; {
		var event struct{ Name string }
		if err := dec.Decode(&event); err != nil {
			return
		}
	}
}

func startRPC() {
	for range 2 {
		here, there := net.Pipe()
		go rpc.NewServer().ServeConn(there)
		hold(rpc.NewClient(here))
	}
}

type noDatabase struct{}

func (noDatabase) Connect(context.Context) (driver.Conn, error) { return nil, errUnreachable }

func (noDatabase) Driver() driver.Driver { return nil }

func startDatabases() {
	for range 2 {
		hold(sql.OpenDB(noDatabase{}))
	}
}
