//go:build linux

package main

import (
	"context"
	"net/http"
	"time"

	"github.com/IBM/sarama"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
)

func init() {
	add("redis", "40 of 40 requests of main.session", "Redis", func(context.Context) error {
		openCache(redisServer(), 100)
		return serve(requests, session)
	})
	add("redis-connect", "40 of 40 requests of main.session", "Redis", func(context.Context) error {
		openCache(silent(), 100)
		return serve(requests, session)
	})
	add("redis-pool", "40 of 44 requests of main.session", "Redis", func(context.Context) error {
		openCache(redisServer(), 4)
		return serve(requests+4, session)
	})
	add("sarama", "40 of 40 requests of main.topics", "sarama", func(context.Context) error {
		c := sarama.NewConfig()
		c.ApiVersionsRequest = false
		c.Net.ReadTimeout, c.Net.WriteTimeout = time.Hour, time.Hour
		c.Net.MaxOpenRequests = 100
		broker = sarama.NewBroker(silent())
		if err := broker.Open(c); err != nil {
			return err
		}
		return serve(requests, topics)
	})
	add("sarama-client", "40 of 40 requests of main.newClient", "sarama", func(context.Context) error {
		upstream = silent()
		return serve(requests, newClient)
	})
	add("franz-go", "40 of 40 requests of main.ping", "franz-go", func(ctx context.Context) error {
		return openKafka(ping)
	})
	add("franz-go-produce", "40 of 40 requests of main.produce", "franz-go", func(ctx context.Context) error {
		return openKafka(produce)
	})
	add("nats", "40 of 40 requests of main.quote", "NATS", func(context.Context) error {
		return openNATS(quote)
	})
	add("nats-flush", "40 of 40 requests of main.flush", "NATS", func(context.Context) error {
		return openNATS(flush)
	})
	add("nats-connect", "40 of 40 requests of main.dial", "NATS", func(context.Context) error {
		upstream = silent()
		return serve(requests, dial)
	})
	add("nats-consumer", "12 of 12 messages of main.(*consumer).receive", "Redis", func(context.Context) error {
		openCache(redisServer(), 100)
		conn, err := nats.Connect("nats://" + natsServer())
		if err != nil {
			return err
		}
		c := new(consumer)
		for range 12 {
			if _, err := conn.Subscribe("orders", c.receive); err != nil {
				return err
			}
		}
		return waitFor(12)
	})
}

var (
	cache  *redis.Client
	broker *sarama.Broker
	kafka  *kgo.Client
	bus    *nats.Conn
)

func openCache(address string, connections int) {
	cache = redis.NewClient(&redis.Options{Addr: address, PoolSize: connections, MaxRetries: -1, DialTimeout: time.Hour, ReadTimeout: time.Hour, PoolTimeout: time.Hour})
}

func session(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	failed(cache.Get(r.Context(), "session").Err())
}

func topics(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := broker.GetMetadata(&sarama.MetadataRequest{})
	failed(err)
}

func newClient(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := sarama.NewClient([]string{upstream}, nil)
	failed(err)
}

func openKafka(handler http.HandlerFunc) (err error) {
	if kafka, err = kgo.NewClient(kgo.SeedBrokers(silent()), kgo.RequestTimeoutOverhead(time.Hour/6)); err != nil {
		return err
	}
	return serve(requests, handler)
}

func ping(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	failed(kafka.Ping(r.Context()))
}

func produce(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	failed(kafka.ProduceSync(r.Context(), &kgo.Record{Topic: "orders", Value: []byte("7")}).FirstErr())
}

func openNATS(handler http.HandlerFunc) (err error) {
	if bus, err = nats.Connect("nats://" + natsServer()); err != nil {
		return err
	}
	return serve(requests, handler)
}

func quote(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := bus.Request("quotes", nil, time.Hour)
	failed(err)
}

func flush(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	failed(bus.FlushTimeout(time.Hour))
}

func dial(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := nats.Connect("nats://"+upstream, nats.Timeout(time.Hour))
	failed(err)
}

// consumer handles the messages of a subscription.
type consumer struct{}

func (c *consumer) receive(m *nats.Msg) {
	entered.Add(1)
	failed(cache.Set(context.Background(), "order", m.Data, 0).Err())
}
