// Command raft is three nodes of Hashicorp's Raft in one program, connected by TCP.
package main

import (
	"context"
	"io"
	"time"

	"github.com/hashicorp/raft"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve}) }

// counter is the state: the number of entries.
type counter struct{ n uint64 }

func (c *counter) Apply(*raft.Log) any                 { c.n++; return c.n }
func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return c, nil }
func (c *counter) Restore(r io.ReadCloser) error       { return r.Close() }
func (c *counter) Persist(s raft.SnapshotSink) error   { return s.Close() }
func (c *counter) Release()                            {}

func serve(r *program.Run) string {
	var nodes []*raft.Raft
	var members raft.Configuration
	for _, name := range []raft.ServerID{"a", "b", "c"} {
		t := program.Must(raft.NewTCPTransport("127.0.0.1:0", nil, 3, time.Minute, io.Discard))
		c := raft.DefaultConfig()
		c.LocalID, c.LogOutput = name, io.Discard
		// The log is in memory. With the defaults, and as fast as here, it would be most of the heap.
		c.SnapshotInterval, c.SnapshotThreshold, c.TrailingLogs = time.Second, 1000, 1000
		store := raft.NewInmemStore()
		nodes = append(nodes, program.Must(raft.NewRaft(c, new(counter), store, store, raft.NewInmemSnapshotStore(), t)))
		members.Servers = append(members.Servers, raft.Server{ID: name, Address: t.LocalAddr()})
	}
	program.Check(nodes[0].BootstrapCluster(members).Error())
	leader := lead(nodes)
	r.Work(16, func(context.Context, int, int) error {
		return leader.Apply([]byte("an entry"), time.Minute).Error()
	})
	return ""
}

// lead waits for a leader.
func lead(nodes []*raft.Raft) *raft.Raft {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for _, n := range nodes {
			if n.State() == raft.Leader {
				return n
			}
		}
	}
	program.Fail("there is no leader")
	return nil
}
