//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var held []any // by holdDescriptors; not collected

// holdDescriptors opens a descriptor of every kind, in dir.
func holdDescriptors(dir string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	open := func(fd int, err error) int { must(err); return fd }
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(dir, "socket")
		}
		l, err := net.Listen(network, address)
		must(err)
		near, err := net.Dial(network, l.Addr().String())
		must(err)
		far, err := l.Accept()
		must(err)
		held = append(held, l, near, far)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(err)
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	must(err)
	_, err = f.WriteString("seven b")
	must(err)
	gone, err := os.Create(filepath.Join(dir, "\x1b[2Jgone"))
	must(err)
	must(os.Remove(gone.Name()))
	r, w, err := os.Pipe()
	must(err)
	var set unix.Sigset_t
	set.Val[0] = 1 << (unix.SIGUSR2 - 1)
	timer := open(unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC))
	held = append(held, udp, f, gone, r, w, timer,
		open(unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)),
		open(unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)), // inherited
		open(unix.Eventfd(18, unix.EFD_CLOEXEC)),
		open(unix.InotifyInit1(unix.IN_CLOEXEC)),
		open(unix.MemfdCreate("a name", unix.MFD_CLOEXEC)),
		open(unix.PidfdOpen(1, 0)),
		open(unix.Signalfd(-1, &set, unix.SFD_CLOEXEC)),
	)
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	must(os.Setenv("SET_LATER", "yes"))
}

// growWithLines starts a goroutine for each line of input.
func growWithLines() {
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		go func() { offer(make(chan int)) }()
	}
	os.Exit(0)
}

// harm is text that a terminal obeys.
const harm = "\x1b]0;title\x07\x1b[2J\u009b1m\xff"

// haveHostileNames gives harmful names to all that has a name: a thread, files, sockets
// and labels.
func haveHostileNames(dir string) {
	ready := make(chan error)
	go func() {
		runtime.LockOSThread()
		name := []byte(harm[:14] + "\x00")
		ready <- unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
		select {}
	}()
	if err := <-ready; err != nil {
		panic(err)
	}
	f, err := os.Create(filepath.Join(dir, harm))
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("unix", "@"+harm+strings.Repeat("\n", 10))
	if err != nil {
		panic(err)
	}
	held = append(held, f, l)
	go pprof.Do(context.Background(), pprof.Labels(harm, harm), func(context.Context) { offer(make(chan int)) })
}
