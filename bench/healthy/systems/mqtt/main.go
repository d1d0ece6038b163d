// Command mqtt embeds the MQTT broker Mochi. Its clients subscribe and publish.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

func serve(*program.Run) string {
	s := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	program.Check(s.AddHook(new(auth.AllowHook), nil))
	l := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	program.Check(s.AddListener(l))
	program.Check(s.Serve())
	return l.Address()
}

const subscribers = 40

func clients(r *program.Run, address string) {
	conns := make([]paho.Client, subscribers)
	for i := range conns {
		o := paho.NewClientOptions().AddBroker("tcp://" + address).SetClientID(fmt.Sprint("client", i)).SetKeepAlive(30 * time.Second)
		conns[i] = paho.NewClient(o)
		program.Check(done(conns[i].Connect()))
		program.Check(done(conns[i].Subscribe(fmt.Sprintf("rooms/%d", i%8), 1, func(paho.Client, paho.Message) {})))
	}
	r.Work(20, func(_ context.Context, worker, i int) error {
		return done(conns[worker].Publish(fmt.Sprintf("rooms/%d", i%8), byte(i%2), false, "a message"))
	})
}

func done(t paho.Token) error {
	if !t.WaitTimeout(time.Minute) {
		return fmt.Errorf("no answer within a minute")
	}
	return t.Error()
}
