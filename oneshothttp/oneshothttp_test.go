//go:build linux || darwin || freebsd

package oneshothttp

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a handler on a server of its own.
type served struct {
	*httptest.Server
	*handler
}

func serve(t *testing.T, o Options) served {
	t.Helper()
	h := Handler(o).(*handler)
	mux := http.NewServeMux()
	mux.Handle("/debug/oneshot/", h)
	s := served{httptest.NewServer(mux), h}
	s.Client().Timeout = testwait.Patience
	t.Cleanup(s.Close)
	return s
}

// do sends a request. command is a command line. change may change the request.
func (s served) do(t *testing.T, method, command string, change ...func(*http.Request)) (status int, text string, head http.Header) {
	t.Helper()
	name, args, _ := strings.Cut(command, " ")
	target := s.URL + "/debug/oneshot/" + name
	if args != "" {
		target += "?args=" + url.QueryEscape(args)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
	require.NoError(t, err)
	for _, f := range change {
		f(r)
	}
	answer, err := s.Client().Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
	return answer.StatusCode, string(body), answer.Header
}

func TestCommandsWithoutAManhole(t *testing.T) {
	s := serve(t, Options{})
	for command, want := range map[string]string{
		"":                      "  stacks [FLAGS] [REGEXP]",
		"stacks":                "by identical stacks",
		"stacks -n 0 ServeHTTP": "oneshothttp.(*handler).ServeHTTP",
		"mem":                   "heap",
		"build":                 "github.com/gomanhole/oneshot",
		"setgc":                 "GOGC is ",
		"signals":               "SIGTERM",
	} {
		status, text, head := s.do(t, "GET", command)
		require.Equal(t, 200, status, "%s: %s", command, text)
		require.Contains(t, text, want, command)
		require.Equal(t, "text/plain; charset=utf-8", head.Get("Content-Type"))
	}
	for command, want := range map[string]int{"nosuch": 405, "stacks -nosuch": 400, "goroutine x": 400, "stacks '": 400, "stacks \x03": 400} {
		status, _, _ := s.do(t, "GET", command)
		require.Equal(t, want, status, command)
	}
	status, text, _ := s.do(t, "POST", "nosuch")
	require.Equal(t, 400, status)
	require.Contains(t, text, `no command "nosuch"`)
}

// TestChangesNeedPOST, so that no link and no image of a page can make one.
func TestJSON(t *testing.T) {
	s := serve(t, Options{})
	status, text, head := s.do(t, "GET", "setgc -json")
	require.Equal(t, 200, status, text)
	require.Equal(t, "application/json", head.Get("Content-Type"))
	require.Contains(t, text, `"schema":"oneshot/setgc"`)
	status, text, head = s.do(t, "GET", "trace -json")
	require.Equal(t, 400, status)
	require.Equal(t, "text/plain; charset=utf-8", head.Get("Content-Type"))
	require.Contains(t, text, "there is no -json")
}

func TestChangesNeedPOST(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	s := serve(t, Options{})
	for _, method := range []string{"GET", "PUT", "OPTIONS", "DELETE"} {
		status, text, head := s.do(t, method, "setgc 150")
		require.Equal(t, 405, status)
		require.Contains(t, text, "POST")
		require.Equal(t, "POST", head.Get("Allow"))
	}
	require.Equal(t, 100, debug.SetGCPercent(100))
	status, text, _ := s.do(t, "POST", "setgc 150")
	require.Equal(t, 200, status)
	require.Contains(t, text, "GOGC was 100, is 150")
	require.Equal(t, 150, debug.SetGCPercent(100))

	status, _, _ = serve(t, Options{ReadOnly: true}).do(t, "POST", "setgc 150")
	require.Equal(t, 403, status)
	require.Equal(t, 100, debug.SetGCPercent(100))
}

func TestNoFileIsWritten(t *testing.T) {
	s := serve(t, Options{})
	file := filepath.Join(t.TempDir(), "f")
	for _, flag := range []string{"-o " + file, "-o=" + file, "--o=" + file} {
		status, _, _ := s.do(t, "POST", "profile heap "+flag)
		require.Equal(t, 403, status)
	}
	require.NoFileExists(t, file)
}

func TestAProfileIsAnAttachment(t *testing.T) {
	s := serve(t, Options{})
	for command, name := range map[string]string{"profile heap": "-heap.pb.gz", "profile cpu -seconds 0.1": "-cpu.pb.gz", "trace -seconds 0.1": "-trace.trace"} {
		status, text, head := s.do(t, "GET", command)
		require.Equal(t, 200, status, text)
		require.Contains(t, head.Get("Content-Disposition"), name)
		require.Equal(t, "application/octet-stream", head.Get("Content-Type"))
		if name != "-trace.trace" {
			p, err := profile.ParseData([]byte(text))
			require.NoError(t, err)
			require.NoError(t, p.CheckValid())
		} else {
			require.True(t, strings.HasPrefix(text, "go 1."), "%.20q", text)
		}
	}
	status, text, _ := s.do(t, "GET", "profile heap -seconds 0.1")
	require.Equal(t, 400, status)
	require.Contains(t, text, "only the client can compute")
}

// TestAFileThatIsNotWholeIsNoAnswer: the client must not take it for one.
func TestAFileThatIsNotWholeIsNoAnswer(t *testing.T) {
	s := serve(t, Options{})
	s.handler.maxOutput = 100
	answer, err := s.Client().Get(s.URL + "/debug/oneshot/profile?args=heap")
	if err == nil {
		_, err = io.ReadAll(answer.Body)
		answer.Body.Close()
	}
	require.ErrorIs(t, err, io.EOF)
	_, text, _ := s.do(t, "GET", "")
	require.Contains(t, text, "the output ends here")
}

// TestOtherSites: a browser can be made to send a request for another site.
func TestOtherSites(t *testing.T) {
	s := serve(t, Options{})
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for _, test := range []struct {
		method string
		change func(*http.Request)
		want   int
	}{
		{"POST", header("Origin", "https://evil.example"), 403},
		{"POST", header("Sec-Fetch-Site", "cross-site"), 403},
		{"GET", header("Sec-Fetch-Site", "cross-site"), 403},
		{"GET", header("Sec-Fetch-Site", "same-site"), 403},
		{"GET", header("Sec-Fetch-Site", "same-origin"), 200},
		{"POST", header("Sec-Fetch-Site", "same-origin"), 200},
		{"POST", header("Origin", s.URL), 200},
		{"GET", header("Sec-Fetch-Site", "none"), 200},
		{"GET", host("evil.example:80"), 403},
		{"GET", host("localhost:1234"), 200},
		{"GET", host("[::1]:1234"), 200},
		{"GET", host("127.0.0.1"), 200},
	} {
		r := []func(*http.Request){test.change}
		status, text, _ := s.do(t, test.method, "mem", r...)
		require.Equal(t, test.want, status, "%+v: %s", test, text)
	}
	s = serve(t, Options{Hosts: []string{"admin.example"}})
	status, _, _ := s.do(t, "GET", "mem", host("Admin.Example:80"))
	require.Equal(t, 200, status)
	status, text, _ := s.do(t, "GET", "mem")
	require.Equal(t, 403, status)
	require.Contains(t, text, "Options.Hosts")
}

// manhole installs a manhole with a command that waits until it is stopped.
func manhole(t *testing.T, log io.Writer) (m *oneshot.Manhole, began, stopped chan string) {
	t.Helper()
	began, stopped = make(chan string, 10), make(chan string, 10)
	m, err := oneshot.Install(oneshot.Options{
		SocketPath: filepath.Join(testwait.TempDir(t), "s"),
		Logger:     slog.New(slog.NewTextHandler(log, nil)),
		Locals:     map[string]any{"answer": func() any { return 42 }},
		Commands: []oneshot.Command{{Name: "block", Run: func(ctx context.Context, s *oneshot.Session, args []string) error {
			began <- strings.Join(args, " ")
			<-ctx.Done()
			stopped <- ""
			return ctx.Err()
		}}},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = m.Uninstall()
		ctx, cancel := context.WithTimeout(context.Background(), testwait.Patience)
		defer cancel()
		require.NoError(t, m.Drain(ctx))
	})
	return m, began, stopped
}

func TestCommandsOfTheProgram(t *testing.T) {
	log := &testwait.Buffer{}
	m, _, _ := manhole(t, log)
	s := serve(t, Options{})
	_, text, _ := s.do(t, "GET", "")
	require.Contains(t, text, "block")
	_, text, _ = s.do(t, "GET", "print answer")
	require.Contains(t, text, "42")
	status, _, _ := s.do(t, "GET", "block")
	require.Equal(t, 405, status)
	testwait.Eventually(t, func() bool { return strings.Contains(log.String(), `line="print answer"`) }, "the command is not logged")
	require.NoError(t, m.Uninstall())
	status, text, _ = serve(t, Options{Manhole: m}).do(t, "GET", "print answer")
	require.Equal(t, 403, status, text)
}

func TestLimits(t *testing.T) {
	m, began, stopped := manhole(t, io.Discard)
	s := serve(t, Options{Manhole: m})
	ctx, leave := context.WithCancel(t.Context())
	var done []chan error
	for range maxRequests {
		end := make(chan error, 1)
		done = append(done, end)
		r, err := http.NewRequestWithContext(ctx, "POST", s.URL+"/debug/oneshot/block?args=a+b", nil)
		require.NoError(t, err)
		go func() {
			_, err := s.Client().Do(r)
			end <- err
		}()
		require.Equal(t, "a b", testwait.Receive(t, began, "the command"))
	}
	status, text, head := s.do(t, "GET", "mem")
	require.Equal(t, 503, status, text)
	require.NotEmpty(t, head.Get("Retry-After"))
	leave() // the clients go: their commands are stopped
	for _, end := range done {
		require.ErrorIs(t, testwait.Receive(t, end, "the end of a request"), context.Canceled)
		testwait.Receive(t, stopped, "the end of a command")
	}
	testwait.Eventually(t, func() bool {
		status, _, _ := s.do(t, "GET", "mem")
		return status == 200
	}, "no place is free")

	s = serve(t, Options{Manhole: m, MaxTime: 50 * time.Millisecond})
	status, text, _ = s.do(t, "POST", "block")
	require.Equal(t, 504, status)
	require.Contains(t, text, "it has run for 50ms")
	testwait.Receive(t, stopped, "the end of the command")
}

// TestNothingIsLeft of many requests.
func TestNothingIsLeft(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc, to count descriptors")
	}
	s := serve(t, Options{})
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(fds)
	}
	s.do(t, "GET", "mem")
	before := count()
	for range 50 {
		s.do(t, "GET", "mem")
	}
	testwait.Eventually(t, func() bool { return count() <= before }, "descriptors are left")
}

// TestTheServersTimeIsExtended: a profile takes longer than most servers allow.
func TestTheServersTimeIsExtended(t *testing.T) {
	s := httptest.NewUnstartedServer(Handler(Options{}))
	s.Config.WriteTimeout = 100 * time.Millisecond
	s.Start()
	defer s.Close()
	answer, err := s.Client().Get(s.URL + "/profile?args=cpu+-seconds+0.5")
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	_, err = profile.ParseData(body)
	require.NoError(t, err)
}

// TestOnAUnixSocket any host is served: no browser can reach it.
func TestOnAUnixSocket(t *testing.T) {
	path := filepath.Join(testwait.TempDir(t), "admin")
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	s := &httptest.Server{Listener: listener, Config: &http.Server{Handler: Handler(Options{})}}
	s.Start()
	defer s.Close()
	client := &http.Client{Timeout: testwait.Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
	}}
	answer, err := client.Get("http://anything/mem")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, 200, answer.StatusCode)
}
