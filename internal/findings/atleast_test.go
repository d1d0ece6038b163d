package findings

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// TestMinutesThatATracebackOnlySays do not count.
func TestMinutesThatATracebackOnlySays(t *testing.T) {
	request := listing(goroutine(7, "chan receive, 2 minutes", "main.answer", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve"))
	find := func(least int) []Finding {
		return Find(&Evidence{
			Looks: []*stack.Snapshot{request, request}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit},
			AtLeast: func(int) int { return least },
		})
	}
	require.Empty(t, find(0))
	require.Len(t, find(2), 1)
}
