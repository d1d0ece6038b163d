//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	healthy["busyHTTP"] = func() { startOrdinary(); startBusyHTTP() }
}

// visits is a service that reads JSON, works a little, and writes JSON.
type visits struct {
	mu    sync.Mutex // guards count
	count map[string]int
}

type visit struct {
	Page  string `json:"page"`
	Hash  string `json:"hash"`
	Count int    `json:"count"`
}

func (v *visits) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in visit
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	in.Count = v.add(in.Page)
	sum := sha256.Sum256([]byte(in.Page))
	for range 20 {
		sum = sha256.Sum256(sum[:])
	}
	in.Hash = hex.EncodeToString(sum[:])
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(in)
}

func (v *visits) add(page string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.count[page]++
	return v.count[page]
}

func startBusyHTTP() {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(l, &visits{count: map[string]int{}})
	var answers atomic.Int64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	for range 16 {
		go visitOn(client, "http://"+l.Addr().String(), &answers)
	}
	await("answers", func() bool { return answers.Load() > 1000 })
}

// visitOn is one client. It pauses between two requests.
func visitOn(client *http.Client, url string, answers *atomic.Int64) {
	for {
		body := fmt.Sprintf(`{"page": "/%d"}`, rand.IntN(1000))
		resp, err := client.Post(url, "application/json", strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		var out visit
		if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
			panic(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		answers.Add(1)
		time.Sleep(2 * time.Millisecond)
	}
}
