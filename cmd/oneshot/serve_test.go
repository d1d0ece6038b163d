//go:build linux

package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/pprof/profile"
	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/cmd/oneshot/internal/bridge"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/samples"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// startServer starts the client as a server and returns the address that it prints.
func startServer(t *testing.T, argv ...string) (url string, cmd *exec.Cmd, errs *testwait.Buffer) {
	t.Helper()
	cmd = exec.Command(os.Args[0], argv...)
	cmd.Env = append(os.Environ(), clientEnv+"=1", "PATH=/nonexistent") // it needs no other program
	errs = new(testwait.Buffer)
	cmd.Stderr = errs
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	clienttest.Start(t, cmd)
	testwait.Deadline(t, out)
	url, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "waited for: the address; standard error: %s", errs)
	return strings.TrimSuffix(url, "\n"), cmd, errs
}

// fetch gets a page. It fails the test if the status is another one.
func fetch(t *testing.T, status int, url string) []byte {
	t.Helper()
	client := http.Client{Timeout: 2 * testwait.Patience}
	answer, err := client.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, status, answer.StatusCode, "%s: %s", url, text)
	return text
}

func TestServeHasTheProfilesOfAProgram(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "installed")
	url, cmd, errs := startServer(t, "serve", strconv.Itoa(pid), "-http", "localhost:0")
	require.Regexp(t, `^http://127\.0\.0\.1:\d+/[0-9a-f]{32}/debug/pprof/$`, url)

	for path, sample := range map[string]string{
		"heap": "inuse_space", "heap?gc=1": "inuse_space", "allocs?seconds=1": "inuse_space", "goroutine": "goroutine",
		"goroutine?seconds=1": "goroutine", "profile?seconds=1": "cpu", "mutex": "delay", "goroutine?debug=1": "goroutine",
	} {
		p, err := profile.ParseData(fetch(t, http.StatusOK, url+path))
		require.NoError(t, err, path)
		require.Equal(t, sample, p.SampleType[len(p.SampleType)-1].Type, path)
	}
	require.Contains(t, string(fetch(t, http.StatusOK, url)), ">goroutine</a>")
	require.Contains(t, string(fetch(t, http.StatusOK, url+"goroutine?debug=2")), "oneshot.runProgram(")
	require.True(t, strings.HasPrefix(string(fetch(t, http.StatusOK, url+"trace?seconds=0.1")), "go 1."))
	require.Equal(t, os.Args[0], string(fetch(t, http.StatusOK, url+"cmdline")))
	require.Equal(t, "Unknown profile\n", string(fetch(t, http.StatusNotFound, url+"nosuch")))
	require.Equal(t, "Unknown profile\n", string(fetch(t, http.StatusNotFound, url+"-o=file")))
	token := strings.Split(url, "/")[3]
	fetch(t, http.StatusNotFound, strings.Replace(url, token, strings.Repeat("0", len(token)), 1))

	require.Contains(t, errs.String(), "GET /debug/pprof/heap?gc=1 200 in ")
	require.NotContains(t, errs.String(), token, "the token is not in the log")

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait())
	_, err := http.Get(url)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// Scrapers ask for several profiles at the same time. Each gets a session.
func TestServeAnswersManyRequestsAtOnce(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "installed")
	url, _, _ := startServer(t, "serve", "-insecure", strconv.Itoa(pid))
	require.True(t, strings.HasSuffix(url, bridge.Prefix))
	require.Equal(t, 5, strings.Count(url, "/"), "no token: %s", url)
	var all sync.WaitGroup
	for _, path := range []string{"allocs", "block", "goroutine", "mutex", "profile?seconds=1", "heap", "threadcreate", "allocs?seconds=1", "heap", "goroutine"} {
		all.Go(func() {
			answer, err := (&http.Client{Timeout: 2 * testwait.Patience}).Get(url + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Body.Close()
			if text, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
				t.Errorf("%s: status %d, %v: %s", path, answer.StatusCode, err, text)
			}
		})
	}
	testwait.Group(t, &all, "the answers")
}

// A client that goes away ends the command, and the end of the process ends the server.
func TestServeEndsWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	pid := startProgram(t, "installed")
	url, cmd, errs := startServer(t, "serve", strconv.Itoa(pid))
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"profile?seconds=3000", nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			answer.Body.Close()
		}
		done <- err
	}()
	pollSessions(t, strconv.Itoa(pid), "profile -seconds 3000 -- cpu")
	samplesOf, err := profile.ParseData(fetch(t, http.StatusOK, url+"profile?seconds=1"))
	require.NoError(t, err)
	require.Equal(t, []string{samples.Comment}, samplesOf.Comments, "the profiler is in use")
	cancel()
	require.Error(t, testwait.Receive(t, done, "the end of the request"))
	clienttest.Poll(t, "the end of the CPU profile", func() (string, bool) {
		out, _, _ := client(t, os.Args[0], strconv.Itoa(pid), "sessions")
		return out, !strings.Contains(out, "3000")
	})
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	testwait.Receive(t, ended, "the end of the server")
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Contains(t, errs.String(), "process "+strconv.Itoa(pid)+" has ended")
}

func TestServeSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	plain := strconv.Itoa(startProgram(t, "plain"))
	for _, test := range []struct {
		says   string
		status int
		argv   []string
	}{
		{"has no manhole, so nobody can ask it for a profile", 1, []string{"serve", plain}},
		{"-outside is not possible", 2, []string{"serve", "-outside", plain}},
		{"give a process", 2, []string{"serve"}},
		{"unexpected argument \"heap\"", 2, []string{"serve", plain, "heap"}},
		{"is not an address such as 127.0.0.1:6060", 2, []string{"serve", strconv.Itoa(startProgram(t, "installed")), "-http", "6060"}},
		{"there is no process", 1, []string{"web", "999999999"}},
		{"has no manhole", 1, []string{"web", plain, "heap"}},
	} {
		_, errs, status := client(t, append([]string{os.Args[0]}, test.argv...)...)
		require.Equal(t, test.status, status, errs)
		require.Contains(t, errs, test.says)
	}
}

// The web interface needs neither a go command nor graphviz.
func TestWebShowsAProfile(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(startProgram(t, "parkedinstalled"))
	url, cmd, errs := startServer(t, "web", pid, "goroutine")
	require.Regexp(t, `^http://127\.0\.0\.1:\d+/[0-9a-f]{32}/$`, url)
	for page, text := range map[string]string{
		"": "<title>" + filepath.Base(os.Args[0]) + " goroutine</title>", "flamegraph": "oneshot.offer", "top": "runtime.gopark", "peek?f=offer": "oneshot.offer",
	} {
		require.True(t, strings.Contains(string(fetch(t, http.StatusOK, url+page)), text), "%q is not in page %q", text, page)
	}
	_, err := profile.ParseData(fetch(t, http.StatusOK, url+"download"))
	require.NoError(t, err)
	for _, page := range []string{"source?f=offer", "disasm?f=offer", "saveconfig?config=x", "deleteconfig?config=x"} {
		fetch(t, http.StatusForbidden, url+page)
	}
	fetch(t, http.StatusNotFound, url+"nosuch")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, cmd.Wait())
	require.Empty(t, errs.String())
}
