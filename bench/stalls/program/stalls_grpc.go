//go:build linux

package main

import (
	"context"
	"net"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
)

func init() {
	add("grpc", "40 of 40 requests of main.checkout", "gRPC Health/Check", func(context.Context) (err error) {
		if stub, err = healthClient(http2Server()); err != nil {
			return err
		}
		return serve(requests, checkout)
	})
	add("grpc-connect", "40 of 40 requests of main.checkout", "gRPC Health/Check", func(context.Context) (err error) {
		if stub, err = healthClient(silent()); err != nil {
			return err
		}
		return serve(requests, checkout)
	})
	add("grpc-stream", "40 of 40 requests of main.watch", "gRPC Health/Watch", func(context.Context) (err error) {
		if stub, err = healthClient(silent()); err != nil {
			return err
		}
		return serve(requests, watch)
	})
	add("grpc-server", "40 of 40 requests of main.(*server).Check", "Redis", func(ctx context.Context) error {
		openCache(redisServer(), 100)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		s := grpc.NewServer()
		health.RegisterHealthServer(s, new(server))
		go func() { failed(s.Serve(listener)) }()
		conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return err
		}
		for range requests { // nobody waits for the answers
			stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, health.Health_Check_FullMethodName)
			if err != nil {
				return err
			}
			if err := stream.SendMsg(&health.HealthCheckRequest{}); err != nil {
				return err
			}
			if err := stream.CloseSend(); err != nil {
				return err
			}
		}
		return waitFor(requests)
	})
}

var stub health.HealthClient

func healthClient(address string) (health.HealthClient, error) {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return health.NewHealthClient(conn), nil
}

func checkout(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := stub.Check(r.Context(), &health.HealthCheckRequest{}, grpc.WaitForReady(true))
	failed(err)
}

func watch(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := stub.Watch(r.Context(), &health.HealthCheckRequest{}, grpc.WaitForReady(true))
	failed(err)
}

// server is a gRPC server that keeps its state in Redis.
type server struct {
	health.UnimplementedHealthServer
}

func (s *server) Check(ctx context.Context, _ *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	entered.Add(1)
	err := cache.Get(ctx, "health").Err()
	failed(err)
	return nil, err
}
