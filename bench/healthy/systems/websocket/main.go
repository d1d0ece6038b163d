// Command websocket is a hub that sends what one client says to all others. Most of its
// 150 clients say nothing.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

// hub knows the clients. Only its run changes them.
type hub struct {
	join, leave chan *member
	said        chan []byte
}

type member struct {
	conn *websocket.Conn
	out  chan []byte
}

func serve(*program.Run) string {
	h := &hub{make(chan *member), make(chan *member), make(chan []byte, 16)}
	go h.run()
	l := program.Must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { program.Fail(http.Serve(l, h)) }()
	return l.Addr().String()
}

func (h *hub) run() {
	members := make(map[*member]bool)
	for {
		select {
		case m := <-h.join:
			members[m] = true
		case m := <-h.leave:
			delete(members, m)
			close(m.out)
		case text := <-h.said:
			for m := range members {
				select {
				case m.out <- text:
				default: // it is slow
				}
			}
		}
	}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var u websocket.Upgrader
	conn, err := u.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	m := &member{conn, make(chan []byte, 64)}
	h.join <- m
	go m.write()
	m.read(h)
}

func (m *member) read(h *hub) {
	defer func() { h.leave <- m }()
	for {
		_, text, err := m.conn.ReadMessage()
		if err != nil {
			return
		}
		h.said <- text
	}
}

func (m *member) write() {
	ping := time.NewTicker(20 * time.Second)
	defer ping.Stop()
	for {
		select {
		case text, ok := <-m.out:
			if !ok || m.conn.WriteMessage(websocket.TextMessage, text) != nil {
				return
			}
		case <-ping.C:
			if m.conn.WriteMessage(websocket.PingMessage, nil) != nil {
				return
			}
		}
	}
}

const idle, talking = 150, 8

func clients(r *program.Run, address string) {
	dial := func() *websocket.Conn {
		c, resp, err := websocket.DefaultDialer.Dial("ws://"+address, nil)
		program.Check(err)
		program.Check(resp.Body.Close())
		return c
	}
	for range idle {
		go hear(dial())
	}
	if !r.Load {
		return
	}
	conns := make([]*websocket.Conn, talking)
	for i := range conns {
		conns[i] = dial()
		go hear(conns[i])
	}
	r.Work(talking, func(_ context.Context, worker, i int) error {
		time.Sleep(time.Millisecond) // each message goes to all
		return conns[worker].WriteMessage(websocket.TextMessage, fmt.Appendf(nil, "message %d", i))
	})
}

func hear(c *websocket.Conn) {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			program.Fail("read: ", err)
		}
	}
}
