//go:build unix

package stackprofile

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/document"
)

func TestGroupsAreSamples(t *testing.T) {
	read := document.Frame{Function: "main.read", File: "main.go", Line: 7}
	later := document.Frame{Function: "main.read", File: "main.go", Line: 9}
	loop := document.Frame{Function: "main.loop", File: "main.go", Line: 20}
	at := time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC)
	text, err := json.Marshal(document.Stacks{Process: document.Process{At: at.Format(time.RFC3339Nano)}, Goroutines: document.Goroutines{Groups: []document.Group{
		{Count: 40, State: "IO wait", Frames: []document.Frame{read, loop}},
		{Count: 2, State: "select", Frames: []document.Frame{later, loop}},
	}}})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, Write(&out, text))
	p, err := profile.ParseData(out.Bytes())
	require.NoError(t, err)
	require.NoError(t, p.CheckValid())
	require.Equal(t, at.UnixNano(), p.TimeNanos)
	require.Equal(t, "goroutine", p.SampleType[0].Type)
	require.Equal(t, "count", p.SampleType[0].Unit)
	require.Equal(t, []string{Comment}, p.Comments)
	var got [][]string
	var counts []int64
	for _, s := range p.Sample {
		var names []string
		for _, l := range s.Location {
			names = append(names, l.Line[0].Function.Name+":"+string(rune('0'+l.Line[0].Line/10))+string(rune('0'+l.Line[0].Line%10)))
		}
		got, counts = append(got, names), append(counts, s.Value[0])
	}
	require.Equal(t, [][]string{{"main.read:07", "main.loop:20"}, {"main.read:09", "main.loop:20"}}, got)
	require.Equal(t, []int64{40, 2}, counts)
	require.Len(t, p.Function, 2)
	require.Len(t, p.Location, 3)
}

func TestWhatAProgramMaySend(t *testing.T) {
	deep := document.Stacks{Goroutines: document.Goroutines{Groups: []document.Group{{Count: 1, Frames: make([]document.Frame, 10*maxDepth)}}}}
	text, err := json.Marshal(deep)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, Write(&out, text))
	p, err := profile.ParseData(out.Bytes())
	require.NoError(t, err)
	require.Len(t, p.Sample[0].Location, maxDepth)

	require.ErrorContains(t, Write(&out, []byte("{}")), "there are no groups")
	require.ErrorContains(t, Write(&out, []byte("gone")), "cannot be read")
}
