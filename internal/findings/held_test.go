package findings

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// inFile returns the text of a goroutine with its code in a file of its own.
func inFile(text, file string) string { return strings.ReplaceAll(text, "/src/main.go", "/src/"+file) }

// TestAWaitThatOnlyVariablesCanEnd counts only where no other code of the same files can
// run: it might use the variable.
func TestAWaitThatOnlyVariablesCanEnd(t *testing.T) {
	sender := inFile(goroutine(7, "chan send", "main.(*outbox).push", "main.produce"), "outbox.go")
	waits := []map[uint64]uint64{{7: 1}, {7: 1}}
	none := []map[uint64]uint64{{}, {}}
	for _, test := range []struct {
		name   string
		others []string
		held   []map[uint64]uint64
		idle   map[uint64]bool
		found  int
	}{
		{"nothing else of its file runs", []string{goroutine(8, "IO wait", "main.serve")}, waits, nil, 1},
		{"it waits again", nil, []map[uint64]uint64{{7: 1}, {7: 2}}, nil, 0},
		{"it was found at one look", nil, waits[:1], nil, 0},
		{"a consumer writes", []string{inFile(goroutine(8, "IO wait", "main.(*outbox).drain"), "outbox.go")}, waits, nil, 0},
		{"a consumer waits for what something leads to", []string{inFile(goroutine(8, "select", "main.(*outbox).drain"), "outbox.go")}, waits, nil, 0},
		{"a consumer waits for what only a variable leads to", []string{inFile(goroutine(8, "select", "main.(*outbox).drain"), "outbox.go")}, waits, map[uint64]bool{8: true}, 1},
		{"another producer works", []string{inFile(goroutine(8, "sleep", "main.(*outbox).prepare", "main.produce"), "outbox.go")}, waits, nil, 1},
	} {
		s := listing(append([]string{sender}, test.others...)...)
		found := Find(&Evidence{
			Looks: []*stack.Snapshot{s, s}, Unreached: none, Held: test.held, Idle: test.idle,
			Final: true, After: vitals.Sample{Limit: vitals.NoLimit},
		})
		require.Len(t, found, test.found, test.name)
		if test.found == 1 {
			require.Equal(t, "suspected: 1 goroutine can never continue, because only variables still lead to what it waits for", found[0].Title)
			require.Equal(t, "1 in chan send at main.(*outbox).push  /src/outbox.go:10", found[0].Lines[0])
			require.Equal(t, "goroutine 7", found[0].Next)
		}
	}
}
