//go:build unix

// Command grpc is a gRPC server with a manhole. main calls Wait, which opens the manhole
// when SIGUSR2 arrives and returns on SIGTERM or Ctrl-C. A graceful stop that hangs, since
// a stream does not end, can be inspected too, and reports itself. It is a module of its
// own, because oneshot does not depend on gRPC.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/gomanhole/oneshot"
)

func main() {
	if err := run(); err != nil {
		slog.Error("server", "err", err)
		os.Exit(1)
	}
}

func run() error {
	m, err := oneshot.Install(oneshot.Options{
		OneshotOn:      syscall.SIGUSR2,
		NoReceiver:     true, // main waits for signals in Wait
		ShutdownReport: 20 * time.Second,
	})
	if err != nil {
		slog.Error("no manhole", "err", err) // the service is more important
	}
	defer m.Uninstall()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, health.NewServer())
	ctx, failed := context.WithCancelCause(context.Background())
	go func() {
		if err := server.Serve(listener); err != nil {
			failed(err)
		}
	}()
	fmt.Printf("serving gRPC on %s\n", listener.Addr())
	if path := m.Path(); path != "" {
		fmt.Printf("to look inside:\n\n    kill -USR2 %d; for i in 1 2 3 4 5; do nc -U %s && break; sleep .1; done\n\n", os.Getpid(), path)
	}

	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
	if err != nil {
		return context.Cause(ctx)
	}
	slog.Info("shutting down", "signal", sig)
	server.GracefulStop() // waits for every call and stream; SIGUSR2 still opens the door
	return nil
}
