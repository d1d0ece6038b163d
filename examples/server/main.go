//go:build unix

// Command server is a small HTTP server with a manhole, built like a real server.
// main calls Wait, which opens the manhole when SIGUSR2 arrives and returns on
// SIGTERM or Ctrl-C. Then main shuts the server down gracefully.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "the address to serve HTTP on; port 0 takes a free one")
	socket := flag.String("socket", "", "where the manhole opens (default "+oneshot.DefaultSocketPath+")")
	flag.Parse()
	if err := run(*addr, *socket); err != nil {
		slog.Error("server", "err", err)
		os.Exit(1)
	}
}

func run(addr, socket string) error {
	// NoReceiver: main waits for signals in Wait, so the manhole does not need its
	// own goroutine for that.
	m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true, SocketPath: socket})
	if err != nil {
		slog.Error("no manhole", "err", err) // the service is more important
	}
	defer m.Uninstall()

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(hello), ReadHeaderTimeout: 10 * time.Second}
	ctx, failed := context.WithCancelCause(context.Background())
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(err)
		}
	}()
	fmt.Printf("serving http://%s\n", listener.Addr())
	if path := m.Path(); path != "" {
		fmt.Printf("to look inside:\n\n    kill -USR2 %d; for i in 1 2 3 4 5; do nc -U %s && break; sleep .1; done\n\n", os.Getpid(), path)
	}

	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
	if err != nil {
		return cmp.Or(context.Cause(ctx), err)
	}
	slog.Info("shutting down", "signal", sig.String())
	grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	go m.Wait(grace) // the manhole can still be opened if the shutdown hangs
	return server.Shutdown(grace)
}

func hello(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "hello")
}
