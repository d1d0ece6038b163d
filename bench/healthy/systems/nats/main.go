// Command nats embeds a NATS server with JetStream. Its clients subscribe, ask, answer,
// and consume a stream.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

func serve(r *program.Run) string {
	s := program.Must(server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: r.Dir, NoSigs: true}))
	s.Start()
	if !s.ReadyForConnections(time.Minute) {
		program.Fail("the server does not get ready")
	}
	return s.ClientURL()
}

const connections = 20

func clients(r *program.Run, url string) {
	conns := make([]*nats.Conn, connections)
	for i := range conns {
		conns[i] = program.Must(nats.Connect(url))
		c := conns[i]
		program.Must(c.QueueSubscribe("ask", "answerers", func(m *nats.Msg) { program.Check(m.Respond(m.Data)) }))
		program.Must(c.Subscribe(fmt.Sprintf("news.%d", i), func(*nats.Msg) {}))
		if i%4 == 0 {
			next := program.Must(c.SubscribeSync("news.*"))
			go receive(next)
		}
		program.Check(c.Flush())
	}
	js := program.Must(conns[0].JetStream())
	program.Must(js.AddStream(&nats.StreamConfig{Name: "orders", Subjects: []string{"orders.>"}, MaxMsgs: 10_000}))
	pull := program.Must(js.PullSubscribe("orders.>", "consumer"))
	go consume(pull)
	r.Work(24, func(_ context.Context, worker, i int) error {
		c := conns[(worker+i)%connections]
		switch i % 4 {
		case 0:
			_, err := js.Publish(fmt.Sprintf("orders.%d", worker), []byte("an order"))
			return err
		case 1:
			return c.Publish(fmt.Sprintf("news.%d", i%connections), []byte("news"))
		}
		_, err := c.Request("ask", []byte("a question"), time.Minute)
		return err
	})
}

func receive(s *nats.Subscription) {
	for {
		if _, err := s.NextMsg(time.Hour); err != nil {
			program.Fail("next message: ", err)
		}
	}
}

func consume(s *nats.Subscription) {
	for {
		messages, err := s.Fetch(10, nats.MaxWait(20*time.Second))
		if err != nil && !errors.Is(err, nats.ErrTimeout) {
			program.Fail("fetch: ", err)
		}
		for _, m := range messages {
			program.Check(m.Ack())
		}
	}
}
