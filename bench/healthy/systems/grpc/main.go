// Command grpc is a gRPC server with calls, streams of events, and streams in both
// directions, and its clients.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

// chat is a service with a stream in both directions. There is no generated code for it.
var chat = grpc.ServiceDesc{
	ServiceName: "healthy.Chat",
	HandlerType: (*any)(nil),
	Streams:     []grpc.StreamDesc{{StreamName: "Talk", Handler: talk, ServerStreams: true, ClientStreams: true}},
}

func talk(_ any, s grpc.ServerStream) error {
	for {
		var m wrapperspb.StringValue
		if err := s.RecvMsg(&m); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := s.SendMsg(&m); err != nil {
			return err
		}
	}
}

func serve(*program.Run) string {
	s := grpc.NewServer()
	healthpb.RegisterHealthServer(s, health.NewServer())
	s.RegisterService(&chat, nil)
	l := program.Must(net.Listen("tcp", "127.0.0.1:0"))
	go func() { program.Fail(s.Serve(l)) }()
	return l.Addr().String()
}

const streams = 30

func clients(r *program.Run, address string) {
	ctx := context.Background()
	conns := make([]*grpc.ClientConn, 15)
	talks := make([]grpc.ClientStream, streams)
	for i := range conns {
		conns[i] = program.Must(grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials())))
	}
	for i := range talks {
		c := conns[i%len(conns)]
		events := program.Must(healthpb.NewHealthClient(c).Watch(ctx, &healthpb.HealthCheckRequest{}))
		go watch(events)
		talks[i] = program.Must(c.NewStream(ctx, &chat.Streams[0], "/healthy.Chat/Talk"))
		if !r.Load || i >= 8 {
			go hear(talks[i])
		}
	}
	r.Work(24, func(ctx context.Context, worker, i int) error {
		if worker >= 8 {
			_, err := healthpb.NewHealthClient(conns[i%len(conns)]).Check(ctx, &healthpb.HealthCheckRequest{})
			return err
		}
		if err := talks[worker].SendMsg(wrapperspb.String(fmt.Sprint(i))); err != nil {
			return err
		}
		return talks[worker].RecvMsg(new(wrapperspb.StringValue))
	})
}

func watch(events grpc.ServerStreamingClient[healthpb.HealthCheckResponse]) {
	for {
		if _, err := events.Recv(); err != nil {
			program.Fail("watch: ", err)
		}
	}
}

// hear receives what the server says without having been asked.
func hear(s grpc.ClientStream) {
	for {
		if err := s.RecvMsg(new(wrapperspb.StringValue)); err != nil {
			program.Fail("talk: ", err)
		}
	}
}
