//go:build linux

package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
	"github.com/google/pprof/profile"
)

// bridgeProgram has a manhole and net/http/pprof on a port, and allocates at many
// places. It prints the port's address.
func bridgeProgram() {
	_, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2})
	check(err)
	for i := range 300 {
		allocateDeep(i, 12)
	}
	go func() {
		for {
			busy(time.Millisecond)
			time.Sleep(time.Millisecond)
		}
	}()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(ln.Addr())
	check(http.Serve(ln, nil))
}

var bridgeKept [][]byte

// allocateDeep allocates at a stack that depends on the bits of n.
//
//go:noinline
func allocateDeep(n, depth int) {
	switch {
	case depth == 0:
		bridgeKept = append(bridgeKept, make([]byte, 1<<20))
	case n&1 == 0:
		allocateDeep(n>>1, depth-1)
	default:
		allocateOdd(n>>1, depth-1)
	}
}

//go:noinline
func allocateOdd(n, depth int) { allocateDeep(n, depth) }

func busy(d time.Duration) {
	for began := time.Now(); time.Since(began) < d; {
	}
}

var buildClient = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "oneshot-bench")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "oneshot")
	build := exec.Command("go", "build", "-o", file, "./cmd/oneshot")
	build.Dir = ".." // the client's modules are not those of the benchmarks
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return file, nil
})

// startBridge starts the program and oneshot serve. It returns the addresses of the
// profiles of net/http/pprof and of the bridge.
func startBridge(t testing.TB, flags ...string) (direct, bridged string) {
	t.Helper()
	client, err := buildClient()
	if err != nil {
		t.Fatal(err)
	}
	program := exec.Command(os.Args[0])
	program.Env = append(os.Environ(), "BENCH_PROGRAM=bridge")
	direct = "http://" + firstLine(t, program) + "/debug/pprof/"
	serve := exec.Command(client, append(append([]string{"serve"}, flags...), strconv.Itoa(program.Process.Pid))...)
	return direct, firstLine(t, serve)
}

// firstLine starts a program, which ends with the test, and returns its first line.
func firstLine(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs testwait.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	testwait.Deadline(t, out)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s printed nothing: %v\n%s", cmd, err, &errs)
	}
	return strings.TrimSpace(line)
}

// get returns an answer, which must have the status 200, and its header.
func get(t testing.TB, url string) ([]byte, http.Header) {
	t.Helper()
	answer, err := (&http.Client{Timeout: 2 * testwait.Patience}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %s", url, answer.StatusCode, err, text)
	}
	return text, answer.Header
}

// TestTheBridgeIsLikeNetHTTPPprof compares the answers of oneshot serve with those of
// net/http/pprof in the same program: the headers, and what go tool pprof -raw says about
// the kind of the profile.
func TestTheBridgeIsLikeNetHTTPPprof(t *testing.T) {
	direct, bridged := startBridge(t)
	for _, path := range []string{
		"heap", "allocs", "goroutine", "threadcreate", "mutex", "block", "heap?gc=1", "heap?seconds=1", "goroutine?seconds=1",
		"profile?seconds=1", "heap?debug=1", "goroutine?debug=1", "goroutine?debug=2", "cmdline", "trace?seconds=0.1",
	} {
		theirs, header := get(t, direct+path)
		ours, ourHeader := get(t, bridged+path)
		for _, name := range []string{"Content-Type", "Content-Disposition", "X-Content-Type-Options"} {
			if header.Get(name) != ourHeader.Get(name) {
				t.Errorf("%s: %s is %q, and %q with net/http/pprof", path, name, ourHeader.Get(name), header.Get(name))
			}
		}
		switch {
		case path == "cmdline" && !bytes.Equal(ours, theirs):
			t.Errorf("cmdline is %q, not %q", ours, theirs)
		case strings.HasPrefix(path, "trace") && !bytes.Equal(ours[:16], theirs[:16]):
			t.Errorf("a trace begins with %q, not %q", ours[:16], theirs[:16])
		case strings.Contains(path, "debug=2") && !bytes.Contains(ours, []byte("bench.bridgeProgram()\n")):
			t.Errorf("%s: the goroutines are not there: %.300s", path, ours)
		case path == "cmdline", strings.HasPrefix(path, "trace"), strings.Contains(path, "debug=2"):
		default:
			if a, b := kindOf(t, ours), kindOf(t, theirs); a != b {
				t.Errorf("%s is of the kind\n%s\nand with net/http/pprof\n%s", path, a, b)
			}
		}
	}
}

// kindOf returns what go tool pprof -raw says of a profile, without its samples: the
// period, the types of its values, and whether its frames have names.
func kindOf(t *testing.T, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "profile")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := testwait.Command(t, "go", "tool", "pprof", "-raw", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	text := string(out)
	p, err := profile.ParseData(data)
	if err != nil {
		t.Fatal(err)
	}
	// In a difference, nothing may have changed, or only goroutines outside of the runtime.
	named := len(p.Location) == 0 || slices.ContainsFunc(p.Function, func(f *profile.Function) bool { return f.Name != "" })
	lines := strings.Split(text, "\n")
	kind := fmt.Sprintf("with names: %v\n", named)
	for i, line := range lines {
		if strings.HasPrefix(line, "PeriodType") || regexp.MustCompile(`^Period: \d+$`).MatchString(line) && !bytes.HasPrefix(data, []byte("heap profile")) {
			kind += line + "\n"
		}
		if line == "Samples:" {
			return kind + lines[i+1]
		}
	}
	return kind
}

// scraped is what Grafana Alloy (pyroscope.scrape) and Parca ask for if their
// configuration does not say anything else. They ask for all of it at the same time; of
// profile they give the seconds. Both can have a prefix for the path (path_prefix), which
// is where the token goes.
var scraped = []string{"allocs", "block", "goroutine", "mutex", "profile?seconds=2"}

func TestScrapersGetTheirProfiles(t *testing.T) {
	for _, flags := range [][]string{{"-insecure"}, nil} {
		_, bridged := startBridge(t, flags...)
		var all sync.WaitGroup
		for _, path := range scraped {
			all.Go(func() {
				answer, err := (&http.Client{Timeout: 2 * testwait.Patience}).Get(bridged + path)
				if err != nil {
					t.Error(err)
					return
				}
				defer answer.Body.Close()
				data, err := io.ReadAll(answer.Body)
				if err == nil && answer.StatusCode == http.StatusOK {
					_, err = profile.ParseData(data)
				}
				if err != nil || answer.StatusCode != http.StatusOK {
					t.Errorf("%s: status %d, %v", path, answer.StatusCode, err)
				}
			})
		}
		testwait.Group(t, &all, "the profiles")
	}
}

// TestToolsReadTheBridge runs the tools that people use with net/http/pprof.
func TestToolsReadTheBridge(t *testing.T) {
	_, bridged := startBridge(t)
	dir := t.TempDir()
	run := func(says string, name string, args ...string) {
		t.Helper()
		cmd := testwait.Command(t, name, args...)
		cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), says) {
			t.Errorf("%s: %v, and no %q in\n%s", cmd, err, says, out)
		}
	}
	run("bench.busy", "go", "tool", "pprof", "-top", "-seconds", "1", bridged+"profile")
	run("bench.allocateDeep", "go", "tool", "pprof", "-top", bridged+"heap")
	run("bench.bridgeProgram", "go", "tool", "pprof", "-top", bridged+"goroutine?debug=1") // asks at symbol for the names
	data, _ := get(t, bridged+"trace?seconds=0.2")
	file := filepath.Join(dir, "trace")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	run("Sync", "go", "tool", "trace", "-d=parsed", file)
	if curl, err := exec.LookPath("curl"); err == nil {
		run("goroutine profile: total", curl, "-sS", "--fail", bridged+"goroutine?debug=1")
	}
}

// maxBridge is how many times as long a heap profile may take through the bridge as from
// net/http/pprof on a port. The two are measured in turns.
const maxBridge = 1.2

// BenchmarkBridge compares the latency of a heap profile:
//
//	go test -run '^$' -bench Bridge -benchtime 1000x .
func BenchmarkBridge(b *testing.B) {
	direct, bridged := startBridge(b)
	var theirs, ours []time.Duration
	measure := func(url string) time.Duration {
		began := time.Now()
		get(b, url)
		return time.Since(began)
	}
	for range 5 { // the first ones are slower
		measure(direct + "heap")
		measure(bridged + "heap")
	}
	for b.Loop() {
		theirs = append(theirs, measure(direct+"heap"))
		ours = append(ours, measure(bridged+"heap"))
	}
	slices.Sort(theirs)
	slices.Sort(ours)
	// A busy machine makes most of them slower, but not the fastest quarter.
	a, c := theirs[len(theirs)/4], ours[len(ours)/4]
	b.ReportMetric(float64(a.Microseconds())/1000, "net/http/pprof-ms")
	b.ReportMetric(float64(c.Microseconds())/1000, "oneshot-serve-ms")
	b.ReportMetric(float64(c)/float64(a), "ratio")
	b.ReportMetric(0, "ns/op")
	if ratio := float64(c) / float64(a); b.N >= 100 && ratio > maxBridge {
		b.Errorf("a heap profile takes %v through the bridge, %.2f times %v", c, ratio, a)
	}
}
