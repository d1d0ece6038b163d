package findings

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// TestAWaitThatNothingReaches: one look may be wrong, because the program goes on
// meanwhile. So each look must have found the goroutine, in the same wait.
func TestAWaitThatNothingReaches(t *testing.T) {
	s := listing(goroutine(7, "chan receive", "main.fetch.func1"), goroutine(8, "chan receive", "main.serve"))
	find := func(unreached ...map[uint64]uint64) []Finding {
		return Find(&Evidence{
			Looks: []*stack.Snapshot{s, s, s}[:max(len(unreached), 1)], Unreached: unreached,
			Final: true, After: vitals.Sample{Limit: vitals.NoLimit},
		})
	}
	seven := map[uint64]uint64{7: 1}
	found := find(seven, seven, seven)
	require.Len(t, found, 1)
	require.Equal(t, "suspected: 1 goroutine can never continue, because nothing seems to reach what it waits for", found[0].Title)
	require.Equal(t, []string{"1 in chan receive at main.fetch.func1  /src/main.go:10", "    started at main.start  /src/main.go:5"}, found[0].Lines)
	require.Equal(t, "goroutine 7", found[0].Next)

	require.Len(t, find(map[uint64]uint64{7: 1, 8: 2}, seven), 1)
	require.Empty(t, find(seven), "there was only one look")
	require.Empty(t, find(seven, seven, nil), "it was reached at one look")
	require.Empty(t, find(seven, map[uint64]uint64{7: 2}), "it waits again")
	require.Empty(t, find(map[uint64]uint64{9: 1}, map[uint64]uint64{9: 1}), "it is not in a group that stays")
	require.Empty(t, Find(&Evidence{
		Looks: []*stack.Snapshot{s, s}, Unreached: []map[uint64]uint64{seven}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit},
	}), "the second search was not finished in time")
}

// TestASendToNoChannel: it is known without a search that it never ends.
func TestASendToNoChannel(t *testing.T) {
	found := final(listing(goroutine(7, "chan send (nil chan)", "main.fetch.func1"), goroutine(8, "chan receive (nil chan)", "main.serve")))
	require.Len(t, found, 1)
	require.Equal(t, "goroutine 7", found[0].Next)
}

func TestTheCommandThatShowsLeaks(t *testing.T) {
	sends := leakSite{waitSite: waitSite{state: "chan send"}}
	selects := leakSite{waitSite: waitSite{state: "select"}}
	require.Equal(t, "goroutine 9", leaksNext([]leakSite{sends}, 1, 9))
	require.Equal(t, "stacks -state send", leaksNext([]leakSite{sends, sends}, 4, 9))
	require.Equal(t, "stacks", leaksNext([]leakSite{sends, selects}, 4, 9))
}
