//go:build linux

package watch

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var began = time.Unix(1000, 0)

func values(after time.Duration, now map[Metric]float64) Values {
	return Values{At: began.Add(after), Now: now, Limits: map[Metric]float64{Memory: 1000, FDs: 100}}
}

func TestConditions(t *testing.T) {
	now := map[Metric]float64{RSS: 1.6 * (1 << 30), Goroutines: 10, Threads: 5, FDs: 81, Memory: 800, Swap: 0}
	for text, holds := range map[string]bool{
		"rss>1.5GiB":                      true,
		"rss > 1.6Gi":                     false,
		"rss>=1.6Gi":                      true,
		"rss>1700MB":                      true,
		"rss>1.8GB":                       false,
		"rss>1e9":                         true,
		"rss<2G":                          true,
		"fds>80%":                         true,
		"fds>81%":                         false,
		"fds>80":                          true,
		"memory>79%":                      true,
		"memory>801":                      false,
		"swap<=0":                         true,
		"goroutines>9||rss>1T":            true,
		"goroutines>9&&rss>1T":            false,
		"rss>1T || goroutines>9 && fds>1": true,
		"(rss>1T||goroutines>9)&&fds>100": false,
		"((threads>=5))":                  true,
	} {
		c, err := Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, holds, c.Holds(values(0, now)), text)
	}
}

func TestConditionsThatAreNone(t *testing.T) {
	for text, says := range map[string]string{
		"":                              "is not something that is measured; that is: rss, swap, memory, cpu, threads, fds, goroutines",
		"heap>1":                        "is not something that is measured",
		"rss":                           "give > or < and a number, such as rss>1.5GiB",
		"rss=1":                         "give > or <",
		"rss>":                          "give a number such as rss>1.5GiB",
		"rss>many":                      "give a number",
		"rss>-1":                        "give a number",
		"rss>NaN":                       "give a number",
		"rss>0x10":                      "give a number",
		"rss>10%":                       "give a number",
		"threads>5/soon":                "give a time such as 30s",
		"threads>5/-1s":                 "give a time",
		"threads>5/100h":                "at most 24h0m0s",
		"(rss>1":                        "a parenthesis is not closed",
		"rss>1 rss>2":                   "give && or || between two comparisons",
		"rss>1 ||":                      "is not something that is measured",
		"rss>1 & threads>1":             "give && or ||",
		string(make([]byte, maxText+1)): "too long",
	} {
		_, err := Parse(text)
		require.ErrorContains(t, err, says, text)
	}
}

func TestADurationStartsAgain(t *testing.T) {
	c, err := Parse("threads>5/2s")
	require.NoError(t, err)
	for _, step := range []struct {
		after   time.Duration
		threads float64
		holds   bool
	}{{0, 9, false}, {1, 9, false}, {2, 9, true}, {3, 5, false}, {4, 9, false}, {5, 9, false}, {6, 9, true}} {
		got := c.Holds(values(step.after*time.Second, map[Metric]float64{Threads: step.threads}))
		require.Equal(t, step.holds, got, "after %d s", step.after)
	}
	require.False(t, c.Holds(values(7*time.Second, nil)), "it is not known any more")
	require.Equal(t, []string{"threads"}, c.Unknown())
}

func TestTheCPUIsMeasuredOverTheDuration(t *testing.T) {
	c, err := Parse("cpu>90%/30s")
	require.NoError(t, err)
	require.True(t, c.Needs(CPU))
	require.False(t, c.Needs(RSS))
	busy, held := time.Duration(0), []int(nil)
	for second := range 100 {
		if second >= 10 && second < 60 && second != 30 { // one second of rest is not much of 30
			busy += time.Second
		}
		now := began.Add(time.Duration(second) * time.Second)
		if c.Holds(Values{At: now, Busy: busy, BusyAt: now}) {
			held = append(held, second)
		}
	}
	require.NotEmpty(t, held)
	require.InDelta(t, 38, held[0], 1)
	require.InDelta(t, 61, held[len(held)-1], 2)
	require.Empty(t, c.Unknown())
}

// TestTheCPUIsReadMoreSeldomThanTheRest: it is one CPU all the time. It is read every 400 ms,
// and something else every 100 ms.
func TestTheCPUIsReadMoreSeldomThanTheRest(t *testing.T) {
	c, err := Parse("cpu>101% || cpu<99%")
	require.NoError(t, err)
	for i := range 100 {
		now, read := time.Duration(i)*100*time.Millisecond, time.Duration(i/4)*400*time.Millisecond
		v := Values{At: began.Add(now), Busy: read, BusyAt: began.Add(read)}
		require.False(t, c.Holds(v), "after %v: %s", now, c.Describe())
	}
	require.InDelta(t, 100, c.all[0].now, 1)
}

func TestDescribeSaysWhatWasSeen(t *testing.T) {
	c, err := Parse("rss>1KiB || threads>100 || fds>80% || cpu>50%")
	require.NoError(t, err)
	v := values(0, map[Metric]float64{RSS: 2048, Threads: 7, FDs: 91})
	v.BusyAt = v.At
	require.True(t, c.Holds(v))
	v.At, v.Busy = v.At.Add(2*time.Second), 2*time.Second
	v.BusyAt = v.At
	require.True(t, c.Holds(v))
	require.Equal(t, "rss is 2.00 KiB, fds is 91% of its limit, cpu is 100% of a CPU over 2s", c.Describe())
	require.Equal(t, "rss>1KiB || threads>100 || fds>80% || cpu>50%", c.String())
}

func FuzzCondition(f *testing.F) {
	f.Add("rss>1.5GiB || goroutines>10000 && (cpu>90%/30s)")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		c.Holds(values(0, map[Metric]float64{RSS: 1}))
		again, err := Parse(c.String())
		require.NoError(t, err)
		require.Len(t, again.all, len(c.all))
	})
}
