//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// upgrade PATH serves at PATH. On SIGHUP it starts this program again and passes its
// listening socket to the new process, as tableflip does. The new process reports when it
// is ready. The old one ends when its clients have gone, those of the manhole included.
// All processes end with their standard input.
func init() {
	const inherited, readiness = 3, 4 // descriptors of the new process
	conditions["upgrade"] = func(args []string) {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		}()
		successor := len(args) == 0
		var l net.Listener
		if successor {
			l = must(net.FileListener(os.NewFile(inherited, "listener")))
		} else {
			l = must(net.Listen("unix", args[0]))
		}
		ln := l.(*net.UnixListener)
		ln.SetUnlinkOnClose(false)
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		m := install()
		var accepting, served sync.WaitGroup
		accepting.Go(func() {
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				served.Go(func() {
					defer conn.Close()
					fmt.Fprintln(conn, os.Getpid())
					_, _ = io.Copy(io.Discard, conn)
				})
			}
		})
		if successor {
			must(io.WriteString(os.NewFile(readiness, "readiness"), "ready\n"))
		} else {
			ready()
		}

		<-hup
		// Clients wait in the queue meanwhile. Accept must return first: os/exec makes the
		// socket a blocking one when it passes the file to a child.
		must(0, ln.SetDeadline(time.Now()))
		accepting.Wait()
		file := must(ln.File())
		isReady, says, err := os.Pipe()
		must(0, err)
		next := exec.Command(os.Args[0], "upgrade")
		next.Stdin, next.Stderr = os.Stdin, os.Stderr
		next.ExtraFiles = []*os.File{file, says}
		must(0, next.Start())
		must(0, says.Close())
		must(0, isReady.SetReadDeadline(time.Now().Add(patience)))
		must(io.ReadFull(isReady, make([]byte, len("ready\n"))))
		must(0, ln.Close())
		served.Wait()
		must(0, m.Uninstall())
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(0, m.Drain(ctx))
	}
}
