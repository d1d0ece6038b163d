//go:build linux

package main

import (
	"context"
	"net/http"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
)

func init() {
	add("semaphore", "40 of 44 requests of main.limited", "semaphore", func(context.Context) error {
		upstream = "http://" + silent() + "/price"
		return serve(requests+4, limited)
	})
	add("errgroup", "40 of 40 requests of main.fanOut", "HTTP", func(context.Context) error {
		upstream = "http://" + silent() + "/price"
		return serve(requests, fanOut)
	})
	add("singleflight", "40 of 40 requests of main.shared", "singleflight", func(context.Context) error {
		openCache(redisServer(), 100)
		return serve(requests, shared)
	})
}

var (
	turns = semaphore.NewWeighted(4)
	calls singleflight.Group
)

func limited(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	if err := turns.Acquire(r.Context(), 1); err != nil {
		failed(err)
	}
	defer turns.Release(1)
	failed(price(r.Context()))
}

// fanOut asks twice at the same time.
func fanOut(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	g, ctx := errgroup.WithContext(r.Context())
	g.Go(func() error { return price(ctx) })
	g.Go(func() error { return price(ctx) })
	failed(g.Wait())
}

func shared(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err, _ := calls.Do("rate", func() (any, error) {
		return cache.Get(context.Background(), "rate").Result()
	})
	failed(err)
}
