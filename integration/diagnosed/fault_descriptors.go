//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
)

// The program uses almost all the descriptors that it may have.

func init() {
	faults["descriptors"] = exportsKeepConnections
	faults["descriptors2"] = segmentsStayOpen
}

// exporter sends jobs to a store and keeps each connection until the store confirms
// the job. The confirmation, which closes the channel confirmed, never comes.
type exporter struct{ store string }

func (e *exporter) export(job int, confirmed <-chan struct{}, sent chan<- error) {
	c, err := net.Dial("tcp", e.store) // GUILTY descriptors
	if err != nil {
		sent <- err
		return
	}
	defer c.Close()
	_, err = fmt.Fprintln(c, "PUT", job)
	sent <- err
	<-confirmed // GUILTY descriptors
}

func exportsKeepConnections() {
	e := &exporter{store: startPeer("silent")}
	confirmed, sent := hold(make(chan struct{})), make(chan error)
	limit := limitFiles(1000)
	for job := openFiles(); job < int(limit)*95/100; job++ {
		go e.export(job, confirmed, sent)
		if err := <-sent; err != nil {
			panic(err)
		}
	}
}

// segments are the files of an index. A merge opens them and nobody closes them.
type segments struct{ open []*os.File }

func (s *segments) merge(path string) error {
	f, err := os.Open(path) // GUILTY descriptors2
	if err != nil {
		return err
	}
	s.open = append(s.open, f)
	_, err = io.CopyN(io.Discard, f, 64)
	return err
}

func segmentsStayOpen() {
	s := hold(new(segments))
	limit := limitFiles(20_000)
	for range int(limit)*95/100 - openFiles() {
		if err := s.merge("/proc/self/exe"); err != nil {
			panic(err)
		}
	}
	runtime.GC()
	runtime.GC()
}
