package stack

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestMerge(t *testing.T) {
	frames := func(names ...string) (all []Frame) {
		for _, name := range names {
			all = append(all, Frame{Function: name})
		}
		return all
	}
	before := func() *Snapshot {
		s := newSnapshot([]Group{
			{Count: 5, State: "select", Frames: frames("net.a", "main.other")},
			{Count: 3, State: "select", Frames: frames("net.a", "main.f"), Members: append(make([]Goroutine, 0, 9), Goroutine{ID: 1}, Goroutine{ID: 4}, Goroutine{ID: 9}),
				Labels: []LabelCount{{"{a: 1}", 2}, {"{a: 2}", 1}}},
			{Count: 2, State: "select", Frames: frames("net.b", "main.f"), Members: []Goroutine{{ID: 2}, {ID: 5}},
				Labels: []LabelCount{{"{a: 2}", 2}}, OtherLabels: 1},
			{Count: 1, State: "select", Frames: frames("main.f"), Members: []Goroutine{{ID: 3}}},
			{Count: 1, State: "sleep", Frames: frames("main.f")},
		})
		s.Excluded, s.HasMembers = 2, true
		return s
	}
	innermost := func(g *Group) []Frame { return g.Frames[len(g.Frames)-1:] }
	s := before()
	merged := s.Merge(innermost)
	require.Equal(t, before(), s, "the snapshot stays as it is")
	require.Equal(t, 12, merged.Total)
	require.Equal(t, 2, merged.Excluded)
	require.True(t, merged.HasMembers)
	require.Len(t, merged.Groups, 3)
	g := merged.Groups[0]
	require.Equal(t, 6, g.Count, "the largest comes first")
	require.Equal(t, 3, g.Stacks)
	require.Equal(t, frames("net.a", "main.f"), g.Frames, "those of the largest")
	require.Equal(t, []Goroutine{{ID: 1}, {ID: 2}, {ID: 3}, {ID: 4}, {ID: 5}, {ID: 9}}, g.Members)
	require.Equal(t, []LabelCount{{"{a: 2}", 3}, {"{a: 1}", 2}}, g.Labels)
	require.Equal(t, 1, g.OtherLabels)
	require.Equal(t, 1, merged.Groups[1].Stacks)

	again := before().Merge(innermost)
	for _, g := range merged.Groups {
		require.NotNil(t, again.Find(g.Key()), "groups are found again in another snapshot")
	}
}

func TestMergeKeepsTheOrder(t *testing.T) {
	s := newSnapshot([]Group{{Count: 2, State: "select"}, {Count: 1, State: "sleep"}})
	s.Groups[0], s.Groups[1] = s.Groups[1], s.Groups[0]
	merged := s.Merge(func(g *Group) []Frame { return g.Frames })
	require.Equal(t, "sleep", merged.Groups[0].State, "if nothing is put together")
}

// TestMergeOfVeryMany is about the memory that the program has to find for it.
func TestMergeOfVeryMany(t *testing.T) {
	const stacks, each = 50, 2000
	groups := make([]Group, stacks)
	for i := range groups {
		groups[i] = Group{Count: each, State: "select", Frames: []Frame{{Function: "main.f", Line: i}}}
		for j := range each {
			groups[i].Members = append(groups[i].Members, Goroutine{ID: uint64(j*stacks + i + 1)})
		}
	}
	s := newSnapshot(groups)
	var merged *Snapshot
	run := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			merged = s.Merge(func(*Group) []Frame { return nil })
		}
	})
	require.Len(t, merged.Groups, 1)
	members := merged.Groups[0].Members
	require.Len(t, members, stacks*each)
	for i, m := range members {
		require.EqualValues(t, i+1, m.ID)
	}
	once := stacks * each * int(unsafe.Sizeof(Goroutine{}))
	require.Less(t, run.AllocedBytesPerOp(), int64(once+once/10))
}
