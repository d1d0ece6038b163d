package findings

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/conns"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

func stackOf(functions ...string) (frames []stack.Frame) {
	for i, f := range functions {
		frames = append(frames, stack.Frame{Function: f, File: "/src/main.go", Line: 10 + i})
	}
	return frames
}

// asked is a heap profile in which the program has asked a HTTP server.
func asked() []HeapSite {
	return []HeapSite{
		{Frames: stackOf("strings.Clone", "main.parse"), Bytes: 1 << 20},
		{Frames: stackOf("net/http.(*Transport).getConn", "net/http.(*Client).Do", "main.fetch", "main.loop"), Bytes: 1 << 10},
	}
}

func TestDescriptorsSayWhoOpenedThem(t *testing.T) {
	s := listing(slices.Concat(
		many(450, 100, "select", "net/http.(*persistConn).readLoop"),
		many(450, 1000, "select", "net/http.(*persistConn).writeLoop"),
	)...)
	s.Find(s.Groups[0].Key()) // the index
	for i := range s.Groups {
		s.Groups[i].Labels = []stack.LabelCount{{Labels: `{"job":"prices"}`, Count: 440}}
	}
	var all []conns.Conn
	for i := range 475 {
		c := conns.Conn{Local: netip.MustParseAddrPort("10.0.0.1:8080"), Remote: netip.MustParseAddrPort("10.0.0.3:443")}
		c.Accepted = i >= 450
		all = append(all, c)
	}
	e := &Evidence{
		Looks: []*stack.Snapshot{s, s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Code: Code{Main: "example.com/service"},
		Descriptors: vitals.Descriptors{Open: 490, Limit: 500},
		Kinds:       func() ([]vitals.Kind, error) { return []vitals.Kind{{Name: "socket", Count: 480}}, nil },
		Conns:       func() []conns.Conn { return all },
		Heap:        asked,
	}
	found := Find(e)
	require.Equal(t, "490 of 500 file descriptors are open", found[0].Title)
	want := []string{
		"most are: 480 socket",
		"450 of them lead to 10.0.0.3:443",
		"450 of them belong to HTTP responses that nobody reads or closes",
		`440 of them with the pprof labels {"job":"prices"}`,
		"asked, and Body not closed, at main.fetch  /src/main.go:12",
	}
	require.Equal(t, want, found[0].Lines)

	e.Heap, e.Allocs = nil, asked
	want[4] = "perhaps asked, and Body not closed, at main.fetch  /src/main.go:12"
	require.Equal(t, want, Find(e)[0].Lines, "what is in use may be too little for a sample")
}

// Responses that have been open for minutes are a finding if there are more of them than
// goroutines that may be about to read one.
func TestResponsesThatNobodyCloses(t *testing.T) {
	open := many(30, 100, "select, 3 minutes", "net/http.(*persistConn).readLoop")
	find := func(goroutines ...[]string) []Finding {
		s := listing(slices.Concat(goroutines...)...)
		return Find(&Evidence{Looks: []*stack.Snapshot{s, s, s}, Final: true, After: vitals.Sample{Limit: vitals.NoLimit}, Code: Code{Main: "example.com/service"}, Heap: asked})
	}
	found := find(open, many(3, 1, "sleep", "time.Sleep", "main.loop"))
	require.Len(t, found, 1)
	require.Equal(t, "30 HTTP responses have been open for minutes, and nobody reads or closes them", found[0].Title)
	require.Equal(t, []string{"asked at main.fetch  /src/main.go:12"}, found[0].Lines)

	require.Empty(t, find(many(30, 100, "select, 1 minutes", "net/http.(*persistConn).readLoop")), "they may be read soon")
	require.Empty(t, find(open, many(30, 300, "select", "net/http.(*bodyEOFSignal).Read", "main.watch")), "they are streams of events")
	require.Empty(t, find(open, many(30, 300, "sleep", "time.Sleep", "main.slowly")), "somebody may read slowly")
}
