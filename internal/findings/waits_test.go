package findings

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// TestALeakThatGrows is compared with the dump before.
func TestALeakThatGrows(t *testing.T) {
	for grew, want := range map[int]string{1: ", when there was 1 more", 2: ", when there were 2 more"} {
		looks := []*stack.Snapshot{listing(many(120, 100, "chan receive", "main.ask")...), listing(many(120+grew, 100, "chan receive", "main.ask")...)}
		e := &Evidence{Looks: looks, Final: true, After: vitals.Sample{Limit: vitals.NoLimit, Created: uint64(grew)}}
		found := Find(e)
		require.Len(t, found, 1)
		require.Equal(t, "120 goroutines, 100% of all, wait in chan receive at one place, and still 0s later"+want, found[0].Title)
		require.Equal(t, "stacks -diff", found[0].Next)
	}
}

// TestStateInOneWord: it is an argument of the command stacks, which looks for it in the
// state.
func TestStateInOneWord(t *testing.T) {
	for state, word := range map[string]string{
		"chan send": "send", "chan receive": "receive", "chan receive (nil chan)": "receive", "select": "select",
		"select (no cases)": "select", "sync.Cond.Wait": "sync.Cond.Wait",
	} {
		require.Equal(t, word, oneWord(state))
	}
}
