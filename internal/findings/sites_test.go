package findings

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/stack"
)

func TestTheSiteOfAStack(t *testing.T) {
	sites := Code{Main: "a.org/app", Deps: map[string]bool{"b.org/lib": true}, Not: func(string) bool { return true }}.Sites()
	for stackText, want := range map[string]int{
		"":                                     -1,
		"sync.a main.f main.g":                 1,
		"sync.a b.org/lib.f a.org/app/x.f b.g": 2,
		"sync.a b.org/lib.f b.org/lib.g net.a": 1,
		"sync.a net.b net/http.c":              2,
		"a.org/app.f":                          0,
		"net.b a.org/application.f net.c":      1,
		"...23 frames elided... net.b":         1,
	} {
		var frames []stack.Frame
		for _, name := range strings.Fields(strings.ReplaceAll(stackText, "...23 frames elided...", "...23_frames_elided...")) {
			f := stack.Frame{Function: name, File: "x.go"}
			if strings.HasPrefix(name, "...") {
				f.File = ""
			}
			frames = append(frames, f)
		}
		require.Equal(t, want, sites.Of(frames), stackText)
	}
	require.True(t, sites.Own(stack.Frame{Function: "main.f", File: "x.go"}))
	require.False(t, sites.Own(stack.Frame{Function: "b.org/lib.f", File: "x.go"}))
}

func TestAFaultIsListedOnce(t *testing.T) {
	at := func(title, line string) Finding {
		return Finding{Title: title, Lines: []string{line, "started at main.g  x.go:1"}}
	}
	all := once([]Finding{
		at("queue", "60 at main.f  x.go:80"), at("leak", "at main.f  x.go:80"), at("other", "at main.f  x.go:81"),
		{Title: "heap", Lines: []string{"most are: 3 sockets"}}, {Title: "pipes", Lines: []string{"most are: 3 sockets"}}, {Title: "cut"}, {Title: "short"},
	})
	var titles []string
	for _, f := range all {
		titles = append(titles, f.Title)
	}
	require.Equal(t, []string{"queue", "other", "heap", "pipes", "cut", "short"}, titles)
}

func TestEveryFindingNamesACommand(t *testing.T) {
	for _, r := range rules {
		require.NotEmpty(t, r.next)
	}
}

func TestHowLongGoroutinesHaveWaited(t *testing.T) {
	waiting := func(minutes int) *stack.Group {
		return &stack.Group{Members: []stack.Goroutine{{Minutes: 0}, {Minutes: int32(minutes)}}}
	}
	e := &Evidence{Looks: make([]*stack.Snapshot, 1)}
	require.Empty(t, e.still(waiting(0)))
	require.Equal(t, ", for up to 5 minutes", e.still(waiting(1), waiting(5)))
	e.Looks = make([]*stack.Snapshot, 2)
	require.Equal(t, ", and still 0s later", e.still(waiting(0)))
	require.Equal(t, ", for up to 1 minute", e.still(waiting(1)))
}
