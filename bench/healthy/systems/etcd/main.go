// Command etcd embeds an etcd server. Its clients watch, keep leases alive, and read and
// write.
package main

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

func serve(r *program.Run) string {
	c := embed.NewConfig()
	c.Dir = filepath.Join(r.Dir, "etcd")
	c.LogLevel = "error"
	clientURL := *program.Must(url.Parse("http://" + program.Address()))
	peerURL := *program.Must(url.Parse("http://" + program.Address()))
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{clientURL}, []url.URL{clientURL}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peerURL}, []url.URL{peerURL}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	e := program.Must(embed.StartEtcd(c))
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(time.Minute):
		program.Fail("the server does not get ready")
	}
	return clientURL.Host
}

const watchers = 12

func clients(r *program.Run, address string) {
	ctx := context.Background()
	c := program.Must(clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: time.Minute}))
	for i := range watchers {
		go watch(c.Watch(ctx, fmt.Sprintf("key%d", i)))
	}
	lease := program.Must(c.Grant(ctx, 30))
	kept := program.Must(c.KeepAlive(ctx, lease.ID))
	go func() {
		for range kept {
		}
		program.Fail("the lease has ended")
	}()
	r.Work(16, func(ctx context.Context, worker, i int) error {
		key := fmt.Sprintf("key%d", (worker+i)%watchers)
		if i%4 == 0 {
			_, err := c.Put(ctx, key, fmt.Sprint(i))
			return err
		}
		_, err := c.Get(ctx, key)
		return err
	})
}

func watch(events clientv3.WatchChan) {
	for e := range events {
		program.Check(e.Err())
	}
	program.Fail("the watch has ended")
}
