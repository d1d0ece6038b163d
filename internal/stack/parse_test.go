package stack

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// none excludes no goroutine.
func none(string) bool { return false }

// headers contains all forms of a header that goroutineheader prints in Go 1.26
// and 1.27 (runtime/traceback.go).
var headers = []struct {
	head   string
	state  string
	member Goroutine
	labels string // in the form of a profile
}{
	{"goroutine 1 [running]:", "running", Goroutine{ID: 1}, ""},
	{"goroutine 18 [chan receive, 12 minutes]:", "chan receive", Goroutine{ID: 18, Minutes: 12}, ""},
	{"goroutine 7 [syscall, 3 minutes, locked to thread]:", "syscall", Goroutine{ID: 7, Minutes: 3, Locked: true}, ""},
	{"goroutine 9 [select (no cases)]:", "select (no cases)", Goroutine{ID: 9}, ""},
	{"goroutine 9 gp=0xc000 m=nil [GC worker (idle), 5 minutes]:", "GC worker (idle)", Goroutine{ID: 9, Minutes: 5}, ""},
	{"goroutine 9 gp=0xc000 m=3 mp=0xc001 [runnable]:", "runnable", Goroutine{ID: 9}, ""},
	{"goroutine 9 [???]:", "???", Goroutine{ID: 9}, ""},

	{"goroutine 9 [chan send (leaked)]:", "chan send", Goroutine{ID: 9, Leaked: true}, ""},
	{"goroutine 9 [chan receive (nil chan) (leaked) (scan), 2 minutes]:", "chan receive (nil chan)", Goroutine{ID: 9, Minutes: 2, Leaked: true}, ""},
	{"goroutine 9 [select (scan)]:", "select", Goroutine{ID: 9}, ""},
	{"goroutine 9 [sleep (durable), synctest bubble 4]:", "sleep", Goroutine{ID: 9}, ""},
	{"goroutine 9 [chan receive (durable), 1 minutes, locked to thread, synctest bubble 4]:", "chan receive", Goroutine{ID: 9, Minutes: 1, Locked: true}, ""},
	{"goroutine 9 [select (no cases) (scan) (durable), synctest bubble 4]:", "select (no cases)", Goroutine{ID: 9}, ""},

	{`goroutine 9 [select, 2 minutes labels:{"a]": "b, c"}]:`, "select", Goroutine{ID: 9, Minutes: 2}, `{"a]":"b, c"}`},
	{`goroutine 9 [select labels:{"a": "]:", "b": " labels:{"}]:`, "select", Goroutine{ID: 9}, `{"a":"]:", "b":" labels:{"}`},
	{`goroutine 8 [select (no cases)] {tenant: acme}:`, "select (no cases)", Goroutine{ID: 8}, `{"tenant":"acme"}`},
	{`goroutine 8 [select] {tenant: "a\"b,c]", x: y}:`, "select", Goroutine{ID: 8}, `{"tenant":"a\"b,c]", "x":"y"}`},
	{`goroutine 8 gp=0x1 m=nil [select (scan), 9 minutes, locked to thread] {"a]:": "{ labels:{"}:`, "select",
		Goroutine{ID: 8, Minutes: 9, Locked: true}, `{"a]:":"{ labels:{"}`},
	{`goroutine 8 [select] {path: /a/b.html, "k\n": "\x01\u00e9\U0001f600\xff"}:`, "select", Goroutine{ID: 8},
		`{"path":"/a/b.html", "k\n":"\x01é😀\xff"}`},
	{`goroutine 8 [select] {: , b: }:`, "select", Goroutine{ID: 8}, `{"":"", "b":""}`},
	{`goroutine 8 [select] {what nobody: knows` + "\x1b" + ` yet}:`, "select", Goroutine{ID: 8}, "{what nobody: knows\x1b yet}"},
}

func TestHeaders(t *testing.T) {
	for _, c := range headers {
		h, ok := parseHeader([]byte(c.head))
		require.True(t, ok, c.head)
		require.Equal(t, c.state, string(h.state), c.head)
		require.Equal(t, c.member, h.member, c.head)
		labels := ""
		if len(h.labels) > 0 {
			labels = canonicalLabels(string(h.labels))
		}
		require.Equal(t, c.labels, labels, c.head)
	}
}

// bodies contains all kinds of lines below a header.
var bodies = []struct {
	body    string
	frames  []Frame
	creator Frame
	parent  uint64
}{
	{
		"main.(*T).work(0xc000012345, {0x1, 0x2}, ...)\n\t/src/a b.go:42 +0x1d\ncreated by main.start in goroutine 17\n\t/src/main.go:30 +0x2c\n",
		[]Frame{{"main.(*T).work", "/src/a b.go", 42}}, Frame{"main.start", "/src/main.go", 30}, 17,
	},
	{ // an inlined call, elided calls, and a creator without a parent
		"main.a(...)\n\t/a.go:1\n...23 frames elided...\nmain.b()\n\t/b.go:2\ncreated by main.c\n\t/c in goroutine 5/c.go:3 +0x1\n",
		[]Frame{{"main.a", "/a.go", 1}, {"...23 frames elided...", "", 0}, {"main.b", "/b.go", 2}}, Frame{"main.c", "/c in goroutine 5/c.go", 3}, 0,
	},
	{ // GOTRACEBACK=system
		"runtime.gopark(0x1, 0x2)\n\t/go/proc.go:474 +0xca fp=0xc00009c7b8 sp=0xc00009c798 pc=0x47d24e\n" +
			"runtime.chansend(0x1)\n\t/go/chan.go:285 +0x3c6 fp=0xc0 sp=0xc1 pc=0x4156f4\n" +
			"main.f()\n\t/f.go:7 fp=0xc2 sp=0xc3 pc=0x4156f5\nruntime.goexit({})\n\t/go/asm_amd64.s:1771 +0x1 fp=0xc4 sp=0xc5 pc=0x1\n",
		[]Frame{{"main.f", "/f.go", 7}}, Frame{}, 0,
	},
	{ // GODEBUG=tracebackancestors=2
		"main.f()\n\t/f.go:7 +0x1\ncreated by main.g in goroutine 2\n\t/g.go:8 +0x1\n[originating from goroutine 2]:\n" +
			"main.g(...)\n\t/g.go:8 +0x1\ncreated by main.h\n\t/h.go:9 +0x1\n[originating from goroutine 1]:\nmain.h(...)\n\t/h.go:9 +0x1\n" +
			"...additional frames elided...\n",
		[]Frame{{"main.f", "/f.go", 7}}, Frame{"main.g", "/g.go", 8}, 2,
	},
	{ // cgo, without a symbolizer and with one
		"non-Go function at pc=0x7f12\nc_wait\n\t/src/c.c:12 pc=0x7f13\nnon-Go function\n\tpc=0x7f14\nmain.f()\n\t/f.go:7 +0x1\n",
		[]Frame{{"non-Go function at pc=0x7f12", "", 0}, {"c_wait", "/src/c.c", 12}, {"non-Go function", "", 0}, {"main.f", "/f.go", 7}}, Frame{}, 0,
	},
	{
		"\tgoroutine running on other thread; stack unavailable\ncreated by main.g in goroutine 2\n\t/g.go:8 +0x1\n",
		[]Frame{{"goroutine running on other thread; stack unavailable", "", 0}}, Frame{"main.g", "/g.go", 8}, 2,
	},
}

func TestBodies(t *testing.T) {
	for _, c := range bodies {
		s := (&Listing{Text: []byte("goroutine 9 [select]:\n" + c.body)}).Group(none)
		require.Equal(t, 1, s.Total, c.body)
		g := s.Groups[0]
		require.Equal(t, c.frames, g.Frames, c.body)
		require.Equal(t, c.creator, g.Creator, c.body)
		require.Equal(t, c.parent, g.Members[0].Parent, c.body)
	}
}

func TestUnreadRecordsAreCounted(t *testing.T) {
	good := "goroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\n"
	for _, bad := range []string{
		"goroutine x [running]:\nmain.f()\n\t/a.go:1\n",
		"goroutine 5 running:\nmain.f()\n\t/a.go:1\n",
		"goroutine 5 [running\nmain.f()\n\t/a.go:1\n",
		"goroutine 5 [running] {a: b}\nmain.f()\n\t/a.go:1\n",
		"goroutine 5 [running labels:{\"a\": \"b\"}:\nmain.f()\n\t/a.go:1\n",
		"Goroutine 5 [running]:\n",
	} {
		s := (&Listing{Text: []byte(strings.Join([]string{good, bad, bad, good}, "\n"))}).Group(none)
		require.Equal(t, 2, s.Total, bad)
		require.Equal(t, 2, s.Unread, bad)
		head, _, _ := strings.Cut(bad, "\n")
		require.Equal(t, head, s.Unknown)
	}
	s := (&Listing{Text: []byte("goroutine " + strings.Repeat("9", 1000))}).Group(none)
	require.Len(t, s.Unknown, maxUnknown)
	s = (&Listing{Text: []byte(good + "\ngoroutine 5 [runn"), Cut: true}).Group(none)
	require.Zero(t, s.Unread, "the last record is incomplete because of the room, which Cut reports")
	require.True(t, s.Cut)
}

func TestMarkIsNotPartOfState(t *testing.T) {
	body := "main.send()\n\t/a.go:1 +0x1\ncreated by main.main in goroutine 1\n\t/a.go:9 +0x1\n"
	s := (&Listing{Text: []byte("goroutine 5 [chan send (leaked)]:\n" + body + "\ngoroutine 6 [chan send]:\n" + body)}).Group(none)
	require.Len(t, s.Groups, 1)
	require.Equal(t, "chan send", s.Groups[0].State)
	require.Equal(t, 1, s.Groups[0].Leaked())
}

func FuzzListing(f *testing.F) {
	for _, h := range headers {
		for _, b := range bodies {
			f.Add([]byte(h.head + "\n" + b.body + "\n" + h.head + "\n" + b.body))
		}
	}
	f.Add([]byte("goroutine 1 [select]:\nmain.f()\n\t/f.go:1\nruntime.()\n\t/r.go:1\n"))
	f.Add([]byte("goroutine []:\n\n\t\n(\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l := &Listing{Text: text}
		s := l.Group(none)
		for _, g := range s.Groups {
			if g.Count != len(g.Members) {
				t.Errorf("%d goroutines, %d members", g.Count, len(g.Members))
			}
		}
		records := 0
		for _, record := range strings.Split(string(text), "\n\n") {
			head, _, _ := strings.Cut(record, "\n")
			if _, ok := parseHeader([]byte(head)); ok || strings.TrimSpace(record) != "" {
				records++
			}
		}
		if s.Total+s.Unread != records {
			t.Errorf("%d records, but %d goroutines and %d unread", records, s.Total, s.Unread)
		}
		l.Goroutine(1)
	})
}
