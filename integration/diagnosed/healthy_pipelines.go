//go:build linux

package main

import (
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

func init() {
	healthy["workerPool"] = func() { startOrdinary(); startWorkerPool() }
	healthy["pipeline"] = func() { startOrdinary(); startPipeline() }
}

// resizer is a pool of 200 workers. Its producer keeps them busy.
type resizer struct {
	jobs chan int
	done atomic.Int64
}

func (p *resizer) produce() {
	for i := 0; ; i++ {
		p.jobs <- i
	}
}

func (p *resizer) work() {
	for job := range p.jobs {
		time.Sleep(10*time.Millisecond + rand.N(20*time.Millisecond)) // fetches an image
		h := fnv.New64a()
		for range 100 {
			fmt.Fprint(h, job)
		}
		_ = h.Sum64()
		p.done.Add(1)
	}
}

func startWorkerPool() {
	p := hold(&resizer{jobs: make(chan int)})
	for range 200 {
		go p.work()
	}
	go p.produce()
	await("jobs", func() bool { return p.done.Load() > 1000 })
}

// importer is a pipeline whose last stage is slow. The stages before it wait to send
// most of the time.
type importer struct {
	lines  chan string
	parsed chan []string
	rows   chan [sha256.Size]byte
	stored atomic.Int64
}

func (p *importer) read(file int) {
	for line := 0; ; line++ {
		p.lines <- fmt.Sprintf("%d,%d,something", file, line)
	}
}

func (p *importer) parse() {
	for line := range p.lines {
		p.parsed <- strings.Split(line, ",")
	}
}

func (p *importer) transform() {
	for fields := range p.parsed {
		p.rows <- sha256.Sum256([]byte(strings.Join(fields, ";")))
	}
}

func (p *importer) store() {
	for range p.rows {
		time.Sleep(5 * time.Millisecond) // a transaction
		p.stored.Add(1)
	}
}

func startPipeline() {
	p := hold(&importer{
		lines: make(chan string, 10), parsed: make(chan []string, 10), rows: make(chan [sha256.Size]byte),
	})
	for file := range 20 {
		go p.read(file)
	}
	for range 8 {
		go p.parse()
		go p.transform()
	}
	go p.store()
	await("rows", func() bool { return p.stored.Load() > 100 })
}
