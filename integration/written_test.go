//go:build linux

package integration

import (
	"bytes"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/stretchr/testify/require"
)

// looks are the lines that a person types to look at values. None of them has a flag
// that says it is risky.
var looks = []string{
	"print live", "print live", "print live", "print live", "print live", "print live", "print live", "print live", "locals", "print copied",
	"live.N + live.Current.Load().Size", "live.Hits.Load()", "live.Next.Size", "live.On ? live.F : live.Took",
	"live.Name", "live.Last.Error()", "live.All[0]", "live", "string(live.State)", "x = copied", "len(x.All)", "map(copied.All, .Peer)",
}

// TestLookingAtValuesDoesNotEndTheProgram reads values a million times while the
// program writes them: without a pause, and 10,000 and 1,000 times in a second.
// ONESHOT_LOOKS sets the number of reads. Without it, the test ends after some seconds.
func TestLookingAtValuesDoesNotEndTheProgram(t *testing.T) {
	withoutRace(t)
	atMost, number := 5*time.Second, 1_000_000
	if n, err := strconv.Atoi(os.Getenv("ONESHOT_LOOKS")); err == nil {
		atMost, number = time.Hour, n
	}
	for _, pause := range []string{"0s", "100us", "1ms"} {
		t.Run("pause "+pause, func(t *testing.T) {
			t.Parallel()
			c := startIn(t, "written", pause)
			c.open(t)
			began := time.Now()
			sent, answers, text := c.look(t, began.Add(atMost), number/3)
			t.Logf("%d answers in %v", answers, time.Since(began).Round(time.Millisecond))
			if answers < sent {
				testwait.Receive(t, c.Ended, "the program, which gave %d answers to %d lines, to end", answers, sent)
				require.FailNow(t, "the program has ended", "%v after %d answers\n%.1500s", c.ProcessState, answers, withoutLog(c.stderr.String()))
			}
			for _, part := range []string{
				"\n  N: ", "string(", "bytes not read)", "Index: map[int]string{", "Last: ", "Peer: \"10.0.0.", // print
				"\nlive             *main.record         {mu: ", "the program may be writing live", // locals, expressions
			} {
				require.True(t, strings.Contains(text, part), part) // Contains would print all of text
			}
			for _, part := range []string{"!unreadable", "panicked"} {
				require.False(t, strings.Contains(text, part), part)
			}
		})
	}
}

// withoutLog returns what a program has written besides its log.
func withoutLog(text string) string {
	var rest strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, " INFO oneshot: ") {
			rest.WriteString(line)
		}
	}
	return rest.String()
}

// look sends as many lines as wanted, or until the deadline. It returns how many these
// are, the number of answers, and the first MiB of them.
func (c *child) look(t *testing.T, deadline time.Time, wanted int) (sent, answers int, text string) {
	t.Helper()
	conn, err := net.Dial("unix", c.path)
	require.NoError(t, err)
	defer conn.Close()
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer conn.(*net.UnixConn).CloseWrite()
		for sent < wanted && time.Now().Before(deadline) {
			var lines []byte
			for range 20 {
				for _, line := range looks {
					lines = append(append(lines, line...), '\n')
					sent++
				}
			}
			if _, err := conn.Write(lines); err != nil {
				return
			}
		}
	}()
	var first, rest bytes.Buffer
	part := make([]byte, 64<<10)
	for {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
		n, err := conn.Read(part)
		if first.Len() < 1<<20 {
			first.Write(part[:n])
		}
		rest.Write(part[:n])
		answers += bytes.Count(rest.Bytes(), []byte(protocol.Prompt))
		keep := rest.Bytes()
		keep = bytes.Clone(keep[max(0, len(keep)-len(protocol.Prompt)+1):]) // a prompt may arrive in two parts
		rest.Reset()
		rest.Write(keep)
		if err != nil {
			require.False(t, os.IsTimeout(err), "no answer for %v", patience)
			break
		}
	}
	testwait.Receive(t, over, "the end of the lines")
	return sent, answers - 1, first.String() // the first prompt comes before the first line
}
