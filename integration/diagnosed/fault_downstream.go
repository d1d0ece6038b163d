//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// Another service does not answer, and all requests wait for it.

func init() {
	faults["deadDownstream"] = pricesDoNotCome
	faults["deadDownstream2"] = stockDoesNotCome
}

// storefront shows prices that it gets from another service.
type storefront struct{ prices priceClient }

type priceClient struct {
	http *http.Client
	base string
}

func (s *storefront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	price, err := s.prices.of(r.Context(), r.URL.Path) // GUILTY deadDownstream
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	_, _ = w.Write(price)
}

func (p priceClient) of(ctx context.Context, item string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+item, nil)
	if err != nil {
		return nil, err
	}
	resp, err := p.http.Do(req) // GUILTY deadDownstream
	if err != nil {
		return nil, fmt.Errorf("the price of %s: %w", item, err)
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func pricesDoNotCome() {
	s := &storefront{priceClient{&http.Client{Transport: &http.Transport{}}, "http://" + startPeer("silent")}}
	url, _, served := serve(s)
	startPeer("clients", url+"/", 50, 50, 0)
	await("50 requests", func() bool { return served.Load() == 50 })
}

// warehouse asks another service, with a new connection for each question.
type warehouse struct{ address string }

func (w *warehouse) pick(order int, done *sync.WaitGroup) {
	defer done.Done()
	if _, err := w.stock(strconv.Itoa(order)); err != nil { // GUILTY deadDownstream2
		log.Println(err)
	}
}

func (w *warehouse) stock(item string) (string, error) {
	c, err := net.Dial("tcp", w.address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "STOCK %s\r\n", item); err != nil {
		return "", err
	}
	return w.reply(c) // GUILTY deadDownstream2
}

// reply reads a length and then that many bytes.
func (w *warehouse) reply(r io.Reader) (string, error) {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil { // GUILTY deadDownstream2
		return "", err
	}
	text := make([]byte, n[3])
	_, err := io.ReadFull(r, text)
	return string(text), err
}

func stockDoesNotCome() {
	w := &warehouse{startPeer("silent")}
	var done sync.WaitGroup
	for order := range 50 {
		done.Add(1)
		go w.pick(order, &done)
	}
	rest()
}
