//go:build linux

package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
)

// own is this process: a command takes the profile as the command of a manhole does.
type own struct {
	lines []string // what was asked for
	fails map[string]error
}

func (o *own) Run(_ context.Context, w io.Writer, words ...string) error {
	line := strings.Join(words, " ")
	o.lines = append(o.lines, line)
	if err := o.fails[line]; err != nil {
		return err
	}
	_, _ = w.Write(nil) // the empty frame that comes first
	switch {
	case line == "profile":
		_, err := io.WriteString(w, "cpu                     where the program uses the CPU, for 30s by default\n"+
			"heap                 12  what was in use\na long name with spaces        3  the program's own; off\ntake one with profile NAME -o FILE\n")
		return err
	case words[0] == "profile":
		p := pprof.Lookup(words[len(words)-1])
		if p == nil {
			return &CommandError{"profile: no profile"}
		}
		return p.WriteTo(w, 0)
	case words[0] == "stacks":
		_, err := io.WriteString(w, "this stops the program for about 3ms, a goroutine of it too\ngoroutine 1 [running]:\nmain.main()\n")
		return err
	}
	_, err := io.WriteString(w, "answer of "+line)
	return err
}

func (o *own) CommandLine() ([]byte, error) { return []byte("server\x00-flag"), nil }

func get(t *testing.T, p Program, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(p).ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

func TestEachPathIsACommand(t *testing.T) {
	for target, line := range map[string]string{
		"profile":                         "profile -seconds 30 -- cpu",
		"profile?seconds=2":               "profile -seconds 2 -- cpu",
		"profile?seconds=-2":              "profile -seconds 30 -- cpu",
		"trace":                           "trace -seconds 1",
		"trace?seconds=0.25":              "trace -seconds 0.25",
		"trace?seconds=NaN":               "trace -seconds 1",
		"heap":                            "profile -- heap",
		"heap?gc=1":                       "gc|profile -- heap",
		"allocs?gc=1":                     "profile -- allocs",
		"heap?seconds=3":                  "profile -seconds 3 -- heap",
		"goroutine?debug=2":               "stacks -go",
		"goroutine?debug=2&force=1":       "stacks -go -force",
		"threadcreate?debug=2":            "profile -- threadcreate",
		"goroutine?seconds=1":             "profile -- goroutine|profile -- goroutine",
		"heap?seconds=x":                  "",
		"heap?seconds=2&debug=1":          "",
		"cpu":                             "",
		"-o=file":                         "",
		"a%0Ab":                           "",
		strings.Repeat("x", maxName+1):    "",
		"goroutineleak?seconds=2":         "",
		"no%20such":                       "profile -- no such|profile",
		"a%20long%20name%20with%20spaces": "profile -- a long name with spaces|profile",
	} {
		p := new(own)
		w := get(t, p, Prefix+target)
		require.Equal(t, line, strings.Join(p.lines, "|"), "%s: %d %s", target, w.Code, w.Body)
	}
}

func TestAnswersAreThoseOfNetHTTPPprof(t *testing.T) {
	w := get(t, new(own), Prefix+"heap")
	require.Equal(t, http.StatusOK, w.Code)
	require.Equal(t, "application/octet-stream", w.Header().Get("Content-Type"))
	require.Equal(t, `attachment; filename="heap"`, w.Header().Get("Content-Disposition"))
	p, err := profile.ParseData(w.Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, "inuse_space", p.SampleType[3].Type)

	w = get(t, new(own), Prefix+"goroutine?debug=2")
	require.Equal(t, "goroutine 1 [running]:\nmain.main()\n", w.Body.String(), "the line before it is left out")
	require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))

	w = get(t, new(own), Prefix+"cmdline")
	require.Equal(t, "server\x00-flag", w.Body.String())

	w = get(t, new(own), Prefix)
	require.Contains(t, w.Body.String(), `<a href="./a%20long%20name%20with%20spaces?debug=1">a long name with spaces</a>`)
	require.Contains(t, w.Body.String(), `<td class="n">12</td>`)
	require.NotContains(t, w.Body.String(), "take one with")

	for path, to := range map[string]string{"/": "debug/pprof/", "/debug/pprof": "pprof/"} {
		w = get(t, new(own), path)
		require.Equal(t, http.StatusFound, w.Code)
		require.Equal(t, to, w.Header().Get("Location"))
	}
	w = httptest.NewRecorder()
	Handler(new(own)).ServeHTTP(w, httptest.NewRequest(http.MethodPost, Prefix+"heap", nil))
	require.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

func TestErrorsHaveAStatus(t *testing.T) {
	for _, test := range []struct {
		err    error
		status int
	}{
		{&CommandError{"in use"}, http.StatusInternalServerError},
		{&TimeoutError{errors.New("no answer")}, http.StatusGatewayTimeout},
		{ErrBusy, http.StatusServiceUnavailable},
		{errors.New("process 7 has ended"), http.StatusBadGateway},
	} {
		w := get(t, &own{fails: map[string]error{"profile -seconds 30 -- cpu": fmt.Errorf("it: %w", test.err)}}, Prefix+"profile")
		require.Equal(t, test.status, w.Code)
		require.Equal(t, "1", w.Header().Get("X-Go-Pprof"))
		require.Equal(t, "it: "+test.err.Error()+"\n", w.Body.String())
		require.Equal(t, "text/plain; charset=utf-8", w.Header().Get("Content-Type"))
	}
	require.Equal(t, http.StatusNotFound, get(t, new(own), Prefix+"nosuch").Code)
	require.Equal(t, http.StatusNotFound, get(t, new(own), "/other").Code)
}

// broken sends a part of a profile.
type broken struct{ own }

func (*broken) Run(_ context.Context, w io.Writer, _ ...string) error {
	_, _ = w.Write(make([]byte, maxHeld+1))
	return errors.New("the program has ended")
}

// A small answer is complete or an error, and says how long it is.
func TestASmallAnswerIsSentWhole(t *testing.T) {
	w := get(t, new(own), Prefix+"heap")
	require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
	w = get(t, new(small), Prefix+"heap")
	require.Equal(t, http.StatusBadGateway, w.Code)
	require.Equal(t, "the program has ended\n", w.Body.String())
}

// small sends the beginning of a profile.
type small struct{ own }

func (*small) Run(_ context.Context, w io.Writer, _ ...string) error {
	_, _ = io.WriteString(w, "half")
	return errors.New("the program has ended")
}

func TestAHalfAnswerBreaksTheConnection(t *testing.T) {
	server := httptest.NewServer(Handler(new(broken)))
	defer server.Close()
	answer, err := http.Get(server.URL + Prefix + "heap")
	if err == nil {
		defer answer.Body.Close()
		_, err = io.ReadAll(answer.Body)
	}
	require.Error(t, err)
}

var garbage atomic.Value // so that the compiler does not leave it out

// The text form of each kind of profile is one that pprof reads, with the same numbers.
func TestTextIsReadBack(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for range 7 {
		go func() { <-stop }()
	}
	for range 64 { // the parser wants a heap profile in which not everything is in use
		garbage.Store(make([]byte, 1<<20))
	}
	garbage.Store([]byte(nil))
	runtime.GC()
	runtime.GC()
	for _, name := range []string{"heap", "allocs", "goroutine", "threadcreate", "mutex", "block"} {
		var data, text bytes.Buffer
		require.NoError(t, pprof.Lookup(name).WriteTo(&data, 0))
		binary, err := profile.ParseData(data.Bytes())
		require.NoError(t, err)
		names := newSymbols()
		require.NoError(t, writeText(&text, name, data.Bytes(), names))
		back, err := profile.ParseData(text.Bytes())
		if len(binary.Sample) == 0 { // block and mutex are off: the parser wants a sample
			continue
		}
		require.NoError(t, err, text.String())
		require.Equal(t, sums(binary), sums(back), "%s\n%s", name, &text)
		require.True(t, name == "threadcreate" || len(names.names) > 0)
	}
}

// sums returns the sum of each value.
func sums(p *profile.Profile) map[string]int64 {
	all := make(map[string]int64)
	for _, s := range p.Sample {
		for i, v := range s.Value {
			kind := p.SampleType[i].Type
			if kind == "objects" || kind == "space" {
				kind = "inuse_" + kind
			}
			all[kind] += v
		}
	}
	return all
}

func TestWaitsAsText(t *testing.T) {
	f := &profile.Function{ID: 1, Name: "main.f\n# forged", Filename: "f.go"}
	l := &profile.Location{ID: 1, Address: 0x1000, Line: []profile.Line{{Function: f, Line: 7}}}
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "contentions", Unit: "count"}, {Type: "delay", Unit: "nanoseconds"}},
		PeriodType: &profile.ValueType{Type: "contentions", Unit: "count"}, Period: 1,
		Sample:   []*profile.Sample{{Location: []*profile.Location{l}, Value: []int64{3, 5000}}},
		Location: []*profile.Location{l}, Function: []*profile.Function{f},
	}
	var data, text bytes.Buffer
	require.NoError(t, p.Write(&data))
	names := newSymbols()
	require.NoError(t, writeText(&text, "mutex", data.Bytes(), names))
	require.Equal(t, "--- mutex:\ncycles/second=1000000000\nsampling period=1\n5000 3 @ 0x1001\n#\t0x1000\tmain.f # forged\tf.go:7\n\n", text.String())
	back, err := profile.ParseData(text.Bytes())
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"contentions": 3, "delay": 5000}, sums(back))

	w := httptest.NewRecorder()
	names.serve(w, strings.NewReader("0x1000+0x7+nonsense+0x1000"))
	require.Equal(t, "num_symbols: 1\n0x1000 main.f # forged\n0x1000 main.f # forged\n", w.Body.String())
}

func FuzzIndex(f *testing.F) {
	f.Add("heap                 12  what was in use\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, e := range parseIndex(text) {
			require.NotContains(t, e.Link, "<")
			require.NotContains(t, e.Link, `"`)
			require.True(t, strings.HasPrefix(e.Link, "./"), "no other scheme")
		}
	})
}

func FuzzText(f *testing.F) {
	var data bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&data, 0)
	f.Add(data.Bytes())
	f.Fuzz(func(_ *testing.T, data []byte) { _ = writeText(io.Discard, "x", data, newSymbols()) })
}
