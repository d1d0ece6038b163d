//go:build linux

package terminal

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/protocol"
)

// TestAnswersAreTakenOutOfTheOutput cuts the output everywhere.
func TestAnswersAreTakenOutOfTheOutput(t *testing.T) {
	for _, size := range []int{1, 2, 7, 1000} {
		q := newQueries()
		id, _, ok := protocol.ParseQuery(q.next("x"))
		require.True(t, ok)
		other := protocol.QueryLine(^q.session, "y")
		for _, test := range []struct{ output, shown string }{
			{"a\x05b\x05\n" + protocol.Answer(id, []string{"cache", "a\u202eb", "conns"}) + ">>> ", "a\x05b\x05\n>>> "},
			{"half a line" + protocol.Answer(id, []string{"cache", "conns"}) + "\x05", "half a line\x05"},
			{other + "\n" + protocol.Answer(id, []string{"cache", "conns"}), other + "\n"},
		} {
			var shown []byte
			for rest := test.output; rest != ""; {
				n := min(size, len(rest))
				shown = append(shown, q.filter([]byte(rest[:n]))...)
				rest = rest[n:]
			}
			shown = append(shown, q.held...)
			q.held = nil
			require.Equal(t, test.shown, string(shown))
			words, ok := q.wait()
			require.True(t, ok)
			require.Equal(t, []string{"cache", "conns"}, words)
		}
	}

	q := newQueries()
	endless := q.next("x") + strings.Repeat("x", 2*protocol.MaxAnswer)
	shown := 0
	for range 10 {
		shown += len(q.filter([]byte(endless)))
		require.LessOrEqual(t, len(q.held), protocol.MaxAnswer)
	}
	require.Greater(t, shown, 15*protocol.MaxAnswer, "what has no end is shown")
}

func TestTabCompletes(t *testing.T) {
	p, s := startFake(t)
	s.says(">>> ")
	p.sees(">>> ")
	p.types("stac\t")
	s.answers("stac", "stacks")
	p.sees(">>> stacks ")
	p.types("-f\t")
	s.answers("stacks -f", "-force", "-full")
	p.types("\t")
	s.answers("stacks -f", "-force", "-full")
	p.saw("-force  -full\n>>> stacks -f")
	p.types("u\t")
	s.answers("stacks -fu", "-full")
	p.sees(">>> stacks -full ")
	p.types("-state 'ch\t") // what only the program knows
	id := s.asked("stacks -full -state 'ch")
	answer := protocol.Answer(id, []string{"'chan send'", "\u202e"})
	s.says("log: one\n" + answer[:20]) // among other output, and in pieces
	p.sees("log: one\n>>> stacks -full -state 'ch")
	s.says(answer[20:] + "log: two\n")
	p.sees("log: two\n>>> stacks -full -state 'chan send' ")
	require.NotContains(t, p.screen(), id)
	p.types("\r")
	s.gets("stacks -full -state 'chan send' \n")

	p.types("stac\t") // a command runs: what every session has
	p.sees("stacks ")
	p.types("\x15")
	s.says("done\n>>> ")
	p.sees("done\n>>> ")
	for range 2 { // a session that does not answer is not asked again
		p.types("stac\t")
		p.sees(">>> stacks ")
		p.types("\x15")
		p.sees(">>> ")
	}
	p.types("mem\r")
	s.asked("stac")
	s.gets("mem\n")
}
