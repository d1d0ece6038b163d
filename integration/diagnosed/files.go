//go:build linux

package main

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"syscall"
	"time"
)

// Goroutines that read pipes, devices and files.

func startLineReaders() {
	for range 3 {
		r, w := io.Pipe()
		hold(w)
		go func() {
			for s := bufio.NewScanner(r); s.Scan(); {
				_ = s.Text()
			}
		}()
	}
}

func startAuditPipe() {
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		hold(w)
		go func() { _, _ = bufio.NewReader(r).ReadBytes(0) }()
	}
}

func startCopiers() {
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			panic(err)
		}
		hold(w)
		go func() { _, _ = io.Copy(io.Discard, r) }()
	}
}

func startInflater() {
	r, w := io.Pipe()
	go func() { // a sender that keeps the stream open
		z := hold(gzip.NewWriter(w))
		_, _ = z.Write([]byte("first block"))
		_ = z.Flush()
	}()
	go func() {
		if z, err := gzip.NewReader(r); err == nil {
			_, _ = io.Copy(io.Discard, z)
		}
	}()
	hold(w)
}

// startDeviceReader reads from a descriptor that the runtime's poller does not
// watch. The read blocks a thread.
func startDeviceReader() {
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC); err != nil {
		panic(err)
	}
	go func() {
		buf := make([]byte, 16)
		for {
			if n, err := syscall.Read(fds[0], buf); n == 0 && err == nil {
				return
			}
		}
	}()
}

func startTailers() {
	for range 2 {
		f := must(os.Open("/etc/passwd"))
		go func() {
			for buf := make([]byte, 4096); ; {
				if _, err := f.Read(buf); err == io.EOF {
					time.Sleep(6 * time.Second)
				}
			}
		}()
	}
}
