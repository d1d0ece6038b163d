//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A program that serves, and clients that misbehave. The clients are programs too,
// because some must run as another user and some must end.
func init() {
	// echo PATH is an echo service on a unix socket.
	conditions["echo"] = func(args []string) {
		ln := must(net.Listen("unix", args[0]))
		install()
		ready()
		for {
			conn := must(ln.Accept())
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}

	// clients N PATH [PID] runs N clients at once. It prints the number of clients for each
	// answer. With PID it stops that process until no more clients can connect.
	conditions["clients"] = func(args []string) {
		n, path, full := must(strconv.Atoi(args[0])), args[1], func() {}
		if len(args) > 2 {
			pid := must(strconv.Atoi(args[2]))
			must(0, syscall.Kill(pid, syscall.SIGSTOP))
			await("all threads are stopped", func() (bool, any) { return stopped(pid), "a thread that is not" })
			full = sync.OnceFunc(func() { must(0, syscall.Kill(pid, syscall.SIGCONT)) })
		}
		answers := make(chan string)
		var begin sync.WaitGroup
		begin.Add(1)
		for range n {
			go func() {
				begin.Wait()
				answers <- answer(path, full)
			}()
		}
		begin.Done()
		count := map[string]int{}
		for range n {
			count[<-answers]++
		}
		for answer, n := range count {
			fmt.Printf("%d %s\n", n, answer)
		}
	}

	// flood PATH runs 50 clients that connect again and again.
	conditions["flood"] = func(args []string) {
		for range 50 {
			go func() {
				for {
					answer(args[0], func() {})
				}
			}()
		}
		ready()
		time.Sleep(time.Hour)
	}

	// gone PATH connects, sends a command and ends.
	conditions["gone"] = func(args []string) {
		conn := must(net.Dial("unix", args[0]))
		must(io.WriteString(conn, "gc\n"))
	}
}

// stopped reports whether every thread of a process is stopped.
func stopped(pid int) bool {
	for _, path := range must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))) {
		text := must(os.ReadFile(path))
		if state := text[bytes.LastIndexByte(text, ')')+2]; state != 'T' {
			return false
		}
	}
	return true
}

// answer runs a client and returns "entered" if it gets a session, the manhole's line if
// it is refused, or the kernel's error. It calls full if the client has to wait for a
// place in the queue.
func answer(path string, full func()) string {
	var conn net.Conn
	for deadline := time.Now().Add(patience); ; {
		var err error
		conn, err = net.Dial("unix", path)
		if errors.Is(err, syscall.EAGAIN) && time.Now().Before(deadline) { // a blocking connect would wait here
			full()
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			return reason(err)
		}
		break
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	lines := bufio.NewReader(conn)
	line, err := lines.ReadString('\n')
	if err != nil {
		return reason(err)
	}
	if strings.HasPrefix(line, "oneshot: ") {
		return strings.TrimSpace(line)
	}
	if _, err = io.WriteString(conn, "exit\n"); err == nil {
		_, err = io.Copy(io.Discard, lines)
	}
	if err != nil {
		return reason(err)
	}
	return "entered"
}

// reason returns the kernel's error in err, without the address.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}

// must returns v, or ends the program with err.
func must[T any](v T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, strings.Join(slices.Concat(os.Args[1:], []string{err.Error()}), " "))
		os.Exit(1)
	}
	return v
}
