// Command libp2p is a host of libp2p with an echo service, and hosts that are its peers.
package main

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

const echo = "/healthy/echo"

func newHost() host.Host {
	return program.Must(libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1")))
}

func serve(*program.Run) string {
	h := newHost()
	h.SetStreamHandler(echo, func(s network.Stream) {
		defer s.Close()
		_, _ = io.Copy(s, s)
	})
	info := peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
	return program.Must(peer.AddrInfoToP2pAddrs(&info))[0].String()
}

const hosts, streams = 3, 12

func clients(r *program.Run, address string) {
	ctx := context.Background()
	info := program.Must(peer.AddrInfoFromString(address))
	var all []network.Stream
	var pings []<-chan ping.Result
	for range hosts {
		h := newHost()
		program.Check(h.Connect(ctx, *info))
		for range streams {
			s := program.Must(h.NewStream(ctx, info.ID, echo))
			program.Check(say(s, 0))
			all = append(all, s)
		}
		if r.Load {
			pings = append(pings, ping.Ping(ctx, h, info.ID))
		}
	}
	for _, s := range all[8:] { // these are told nothing
		go func() {
			_, err := io.ReadFull(s, make([]byte, 1))
			program.Fail("read: ", err)
		}()
	}
	r.Work(8, func(_ context.Context, worker, i int) error {
		if worker < len(pings) {
			return (<-pings[worker]).Error
		}
		return say(all[worker], i)
	})
}

// say sends a message and waits for the echo.
func say(s network.Stream, i int) error {
	message := fmt.Appendf(nil, "message %d", i)
	if _, err := s.Write(message); err != nil {
		return err
	}
	_, err := io.ReadFull(s, message)
	return err
}
