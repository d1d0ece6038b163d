package findings

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

func TestCollectionsAtTheMemoryLimit(t *testing.T) {
	s := listing(goroutine(1, "sleep", "time.Sleep", "main.main"))
	e := &Evidence{Looks: []*stack.Snapshot{s, s}, Final: true}
	e.After.Limit, e.After.FromSystem, e.After.LiveHeap = 100<<20, 110<<20, 95<<20
	e.After.At = e.Before.At.Add(time.Second)
	for n, want := range map[uint64]string{0: "0 collections a second", 1: "1 collection a second", 7: "7 collections a second"} {
		e.After.Cycles = n
		found := Find(e)
		require.Len(t, found, 1)
		require.Equal(t, "the memory limit of 100 MiB is reached: 110 MiB in use, 95.0 MiB of live heap, "+want, found[0].Title)
	}
	e.After.LiveHeap = 10 << 20
	e.After.Cycles = 1
	require.Empty(t, Find(e), "the collector is not busy")
	e.After = vitals.Sample{Limit: vitals.NoLimit}
	require.Empty(t, Find(e))
}
