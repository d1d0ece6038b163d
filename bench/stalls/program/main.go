//go:build linux

// Program is a program that gets stuck in a call of a real library:
//
//	program NAME
//
// Without a name, it lists the stalls, and what the first finding must say about each. The
// servers are in the program too. They accept connections and never answer, or answer the
// handshake only.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// stall is a program that gets stuck.
type stall struct {
	name string
	// What the first finding must contain: who waits and how many, and the library.
	who, library string
	start        func(ctx context.Context) error
}

// requests is the number of requests that get stuck in most stalls.
const requests = 40

var stalls []stall

// add adds a stall to the list.
func add(name, who, library string, start func(ctx context.Context) error) {
	stalls = append(stalls, stall{name, who, library, start})
}

func main() {
	if len(os.Args) < 2 {
		for _, s := range stalls {
			fmt.Printf("%s\t%s\t%s\n", s.name, s.who, s.library)
		}
		return
	}
	name := os.Args[1]
	start := descriptors[name]
	for _, s := range stalls {
		if s.name == name {
			start = s.start
		}
	}
	if name == "clients" && len(os.Args) == 4 {
		start = func(context.Context) error { return sendRequests(os.Args[2], os.Args[3]) }
	}
	if start == nil {
		log.Fatalf("there is no stall %q", name)
	}
	if _, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2}); err != nil {
		log.Fatal(err)
	}
	if err := start(context.Background()); err != nil {
		log.Fatal(name, ": ", err)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
}

// entered counts the goroutines that are about to make their call.
var entered atomic.Int64

// waitFor waits until n goroutines have entered, and some time more for their calls. If
// that was too short, the test looks again.
func waitFor(n int) error {
	for end := time.Now().Add(time.Minute); entered.Load() < int64(n); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("after a minute, %d of %d goroutines have entered", entered.Load(), n)
		}
	}
	time.Sleep(300 * time.Millisecond)
	return nil
}

// stay holds the standard inputs of the clients, which end when it is closed. A
// collection would close what nothing holds.
var stay []io.Closer

// serve serves HTTP, and has another process send n requests.
func serve(n int, handler http.HandlerFunc) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { log.Fatal(http.Serve(listener, handler)) }()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	clients := exec.Command(self, "clients", listener.Addr().String(), strconv.Itoa(n))
	clients.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	clients.Stderr = os.Stderr
	in, err := clients.StdinPipe()
	if err != nil {
		return err
	}
	stay = append(stay, in)
	runtime.LockOSThread() // Pdeathsig is about the thread
	if err := clients.Start(); err != nil {
		return err
	}
	return waitFor(n)
}

// sendRequests sends requests and does not wait for the answers.
func sendRequests(address, n string) error {
	count, err := strconv.Atoi(n)
	for range count {
		var conn net.Conn
		if conn, err = net.Dial("tcp", address); err != nil {
			break
		}
		keep(conn)
		if _, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: shop\r\n\r\n"); err != nil {
			break
		}
	}
	return err
}

// failed is for calls that must not return.
func failed(err error) {
	log.Fatal("the call returned: ", err)
}
