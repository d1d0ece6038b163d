package dump

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestATracebackMaySayTooManyMinutes: what a collection notes is the end of the one before.
func TestATracebackMaySayTooManyMinutes(t *testing.T) {
	now := time.Now()
	ago := func(all ...time.Duration) (ends []time.Time) {
		for _, d := range all {
			ends = append(ends, now.Add(-d))
		}
		return ends
	}
	for _, test := range []struct {
		name          string
		ends          []time.Time
		all           int
		minutes, want int
	}{
		{"noted a moment ago, in an idle program", ago(time.Second, 2*time.Minute+time.Second), 2, 2, 0},
		{"noted two minutes ago", ago(time.Second, 121*time.Second, 241*time.Second), 3, 4, 2},
		{"collections are frequent", ago(10*time.Second, 20*time.Second, 170*time.Second, 185*time.Second), 4, 3, 2},
		{"they are so frequent that the others are not known", ago(time.Second, 2*time.Second), 1000, 5, 4},
		{"the collection that notes it is not over", nil, 0, 3, 0},
	} {
		require.Equal(t, test.want, atLeast(test.ends, test.all, now)(test.minutes), test.name)
	}
}
