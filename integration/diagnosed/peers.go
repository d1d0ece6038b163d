//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// The peers of a service run in processes of their own. Their goroutines and
// descriptors must not be among those of the program under diagnosis.

// runPeer is a peer's main. It ends with its standard input, which ends with the
// program that started it, however that ended.
func runPeer(name string, args []string) {
	switch name {
	case "silent":
		silentPeer()
	case "clients":
		clientsPeer(args[0], number(args[1]), number(args[2]), number(args[3]))
	case "connections":
		keepConnections(args[0], number(args[1]))
		fmt.Println("ready")
	default:
		panic("no peer " + name)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func number(s string) int { return must(strconv.Atoi(s)) }

// startPeer starts a peer and returns the first line that it prints.
func startPeer(name string, args ...any) string {
	cmd := exec.Command("/proc/self/exe", "-peer", name)
	for _, arg := range args {
		cmd.Args = append(cmd.Args, fmt.Sprint(arg))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// The pipes are files, so that os/exec starts no goroutine.
	in, keep, err := os.Pipe()
	out, printed, err2 := os.Pipe()
	if err := errors.Join(err, err2); err != nil {
		panic(err)
	}
	hold(keep) // the peer ends when this is closed
	cmd.Stdin, cmd.Stdout = in, printed
	if err := cmd.Start(); err != nil {
		panic(err)
	}
	_, _ = in.Close(), printed.Close()
	if err := out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		panic(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		panic(fmt.Errorf("the peer %s: %w", name, err))
	}
	_ = out.Close()
	return strings.TrimSpace(line)
}

// silentPeer prints its address, accepts connections and never answers.
func silentPeer() {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println(l.Addr())
	go func() {
		for {
			hold(must(l.Accept()))
		}
	}()
}

// clientsPeer makes n requests, atATime at once. If perSecond is not 0 it goes on
// with that many requests a second.
func clientsPeer(url string, n, atATime, perSecond int) {
	fmt.Println("ready")
	get := func() {
		if resp, err := http.Get(url + strconv.FormatInt(rand.Int64(), 36)); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = atATime
	var left atomic.Int64
	left.Store(int64(n))
	for range atATime {
		go func() {
			for left.Add(-1) >= 0 {
				get()
			}
		}()
	}
	if perSecond > 0 {
		go func() {
			for range time.Tick(time.Second / time.Duration(perSecond)) {
				go get()
			}
		}()
	}
}

// serve starts an HTTP server for h. It counts all requests in came, and those that h
// is working on in served.
func serve(h http.Handler) (url string, came, served *atomic.Int64) {
	came, served = new(atomic.Int64), new(atomic.Int64)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came.Add(1)
		served.Add(1)
		defer served.Add(-1)
		h.ServeHTTP(w, r)
	}))
	return "http://" + l.Addr().String(), came, served
}

// lineClient is a client of a protocol in which each line is answered with a line.
type lineClient struct {
	c net.Conn
	r *bufio.Reader
}

func dialLines(address string) *lineClient {
	c := must(net.Dial("tcp", address))
	return &lineClient{c, bufio.NewReader(c)}
}

func (l *lineClient) ask(question string) (string, error) {
	if _, err := fmt.Fprintln(l.c, question); err != nil {
		return "", err
	}
	answer, err := l.r.ReadString('\n')
	return strings.TrimSpace(answer), err
}
