//go:build linux || darwin || freebsd

package oneshot

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/command"
	"github.com/gomanhole/oneshot/internal/protocol"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// goTool runs go tool. It must accept the files without an error.
func goTool(t *testing.T, args ...string) string {
	t.Helper()
	out, complaints, err := runGoTool(t, args...)
	require.NoError(t, err, "%s", complaints)
	return out
}

// runGoTool runs go tool, and returns its output.
func runGoTool(t *testing.T, args ...string) (out, complaints string, err error) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("go is not in PATH; install Go to see whether its tools read the files")
	}
	// The go command builds some of the tools when they are used for the first time.
	ctx, cancel := context.WithTimeout(t.Context(), 4*testwait.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool"}, args...)...)
	cmd.WaitDelay = testwait.Patience / 10 // for the processes that it has started
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	require.NoError(t, ctx.Err(), "go tool %v does not end: %s", args, stderr.Bytes())
	return stdout.String(), stderr.String(), err
}

func pprofTop(t *testing.T, file string, args ...string) string {
	t.Helper()
	return goTool(t, slices.Concat([]string{"pprof"}, args, []string{"-top", "-nodecount=100000", "-nodefraction=0", file})...)
}

// startProfiles starts a session with the commands for profiles and settings.
func startProfiles(t *testing.T) (*Session, client) {
	t.Helper()
	s, c := startSession(t)
	c.expect(protocol.Prompt)
	return s, c
}

// answerOf runs a line as a script does, and interrupts it if asked to. It returns the
// contents of the frames of each kind.
func answerOf(t *testing.T, line string, interruptedIn ...string) map[byte]string {
	t.Helper()
	return hostFor(t, Options{}).answer(t, line, interruptedIn...)
}

func (h testHost) answer(t *testing.T, line string, interruptedIn ...string) map[byte]string {
	t.Helper()
	conn := h.dialScript(t)
	conn.send(line + "\n")
	for _, in := range interruptedIn {
		awaitIn(t, in)
		conn.send(string([]byte{protocol.Interrupt}))
	}
	require.NoError(t, conn.CloseWrite())
	answer, frames := make(map[byte]string), protocol.NewReader(conn)
	for answer[protocol.End] == "" {
		kind, payload, err := frames.Next()
		require.NoError(t, err)
		answer[kind] += string(payload)
	}
	require.Empty(t, conn.rest())
	return answer
}

// computeHere is the function to look for in profiles.
//
//go:noinline
func computeHere(stop *atomic.Bool) (n uint64) {
	for !stop.Load() {
		for i := range uint64(1 << 16) {
			n = n*31 + i
		}
	}
	return n
}

// compute keeps a CPU busy until the end of the test.
func compute(t *testing.T) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() { computeHere(&stop) })
	t.Cleanup(func() { stop.Store(true); wg.Wait() })
}

// computeForAWhile uses 300 ms of CPU time, however long that takes.
func computeForAWhile() {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			panic(err)
		}
		return time.Duration(u.Utime.Nano())
	}
	var stop atomic.Bool
	before := used()
	go func() {
		testwait.Until(func() bool { return used()-before >= 300*time.Millisecond }, "some CPU time")
		stop.Store(true)
	}()
	computeHere(&stop)
}

// requireComputing takes recordings until the text of one has computeHere. It may have
// got no CPU during some of them.
func requireComputing(t *testing.T, record func() (text string)) {
	t.Helper()
	var text string
	eventually(t, func() bool {
		text = record()
		return strings.Contains(text, "oneshot.computeHere")
	}, "nothing computes in the last recording")
}

//go:noinline
func receiveHere(c chan struct{}) { <-c }

//go:noinline
func unlockHere(mu *sync.Mutex) { mu.Unlock() }

// contendForAWhile makes one goroutine wait for a channel, and another for a lock.
func contendForAWhile(t *testing.T) {
	c := make(chan struct{})
	var mu sync.Mutex
	mu.Lock()
	var wg sync.WaitGroup
	release := sync.OnceFunc(func() {
		close(c)
		unlockHere(&mu)
	})
	defer wg.Wait()
	defer release()
	wg.Go(func() { receiveHere(c) })
	wg.Go(func() { mu.Lock(); defer mu.Unlock() })
	for _, text := range []string{"oneshot.receiveHere(", "sync.(*Mutex).Lock("} {
		eventually(t, func() bool {
			b := make([]byte, 1<<20)
			return strings.Contains(string(b[:runtime.Stack(b, true)]), text)
		}, "nobody waits in %s", text)
	}
	time.Sleep(20 * time.Millisecond) // the time is the subject
	release()
}

var allocated []byte

//go:noinline
func allocateHere() { allocated = make([]byte, 32<<20) }

// ownProfile creates a profile of the program itself, with one entry. Such a profile can
// never be removed.
func ownProfile(t *testing.T, name string) {
	own := pprof.Lookup(name)
	if own == nil {
		own = pprof.NewProfile(name)
	}
	own.Add(t, 0)
	t.Cleanup(func() { own.Remove(t) })
}

func target(t *testing.T) string { return filepath.Join(t.TempDir(), "out") }

func TestACPUProfileNamesTheBusyFunction(t *testing.T) {
	compute(t)
	_, c := startProfiles(t)
	var file string
	requireComputing(t, func() string {
		file = target(t)
		require.Regexp(t, `^[\d.]+ K?i?B written to `+file+`\n$`, c.do("profile cpu -seconds 0.3 -o "+file))
		return pprofTop(t, file)
	})
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestPprofReadsEveryProfile(t *testing.T) {
	keepSettings(t)
	_, c := startProfiles(t)
	c.do("blockrate 1")
	c.do("mutexfraction 1")
	contendForAWhile(t)
	allocateHere()
	defer func() { allocated = nil }()
	runtime.GC()
	ownProfile(t, t.Name())
	for name, holds := range map[string]string{
		"heap": "oneshot.allocateHere", "allocs": "oneshot.allocateHere", "goroutine": "(*Session).perform",
		"block": "oneshot.receiveHere", "mutex": "oneshot.unlockHere", "threadcreate": "", t.Name(): "testing.tRunner",
	} {
		file := target(t)
		require.Regexp(t, `^[\d.]+ K?i?B written to `+file+`\n$`, c.do("profile "+name+" -o "+file))
		require.Contains(t, pprofTop(t, file), holds)
	}
}

func TestADeltaProfileCoversItsTimeOnly(t *testing.T) {
	keepSettings(t)
	_, c := startProfiles(t)
	c.do("blockrate 1")
	c.do("mutexfraction 1")
	for _, test := range []struct {
		name, holds string
		meanwhile   func()
	}{
		{"heap", "oneshot.allocateHere", func() { allocateHere(); runtime.GC(); runtime.GC() }},
		{"allocs", "oneshot.allocateHere", func() { allocateHere(); runtime.GC(); runtime.GC() }},
		{"block", "oneshot.receiveHere", func() { contendForAWhile(t) }},
		{"mutex", "oneshot.unlockHere", func() { contendForAWhile(t) }},
	} {
		allocated = nil
		runtime.GC()
		runtime.GC()
		quiet, busy := target(t), target(t)
		require.Regexp(t, `^[\d.]+ K?i?B written to `+quiet+`\.base\n[\d.]+ K?i?B written to `+quiet+
			`\nsee what changed with: go tool pprof -base `+quiet+`\.base `+quiet+`\n$`, c.do("profile "+test.name+" -seconds 0.01 -o "+quiet))
		require.NotContains(t, pprofTop(t, quiet, "-base", quiet+".base"), test.holds, test.name)

		c.send("profile " + test.name + " -seconds 1 -o " + busy + "\n")
		awaitIn(t, "command.twoProfiles(")
		test.meanwhile()
		require.Contains(t, c.expect(protocol.Prompt), "written to")
		require.Contains(t, pprofTop(t, busy, "-base", busy+".base"), test.holds, test.name)
	}
	allocated = nil
}

// awaitIn waits until a command sleeps in the function.
func awaitIn(t *testing.T, function string) {
	t.Helper()
	eventually(t, func() bool {
		b := make([]byte, 1<<20)
		for g := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
			if strings.Contains(g, function) && strings.Contains(g, "command.sleep(") && strings.Contains(g, "[select") {
				return true
			}
		}
		return false
	}, "nobody waits in %s", function)
}

func TestTheTraceToolReadsATrace(t *testing.T) {
	compute(t)
	_, c := startProfiles(t)
	requireComputing(t, func() string {
		file := target(t)
		require.Regexp(t, `^[\d.]+ [KM]iB written to `+file+`\n$`, c.do("trace -seconds 0.2 -o "+file))
		return goTool(t, "trace", "-d=parsed", file)
	})
}

// A flight recorder and a trace share the runtime's only tracer.
func TestATraceBesideAFlightRecorder(t *testing.T) {
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
	require.NoError(t, recorder.Start())
	defer recorder.Stop()
	compute(t)
	_, c := startProfiles(t)
	requireComputing(t, func() string {
		file := target(t)
		require.Contains(t, c.do("trace -seconds 0.2 -o "+file), "written to")
		return goTool(t, "trace", "-d=parsed", file)
	})
	require.True(t, recorder.Enabled())
}

func TestAnInterruptEndsTheRecordingAndKeepsIt(t *testing.T) {
	_, c := startProfiles(t)
	c.do("blockrate 1")
	defer c.do("blockrate 0")
	for _, test := range []struct{ long, in, short, holds string }{
		{"profile cpu -seconds 3000", "command.cpuProfile(", "profile cpu -seconds 0.01", "oneshot.computeHere"},
		{"profile heap -seconds 3000", "command.twoProfiles(", "profile heap -seconds 0.01", "oneshot.allocateHere"},
		{"profile block -seconds 3000", "command.twoProfiles(", "profile block -seconds 0.01", "oneshot.receiveHere"},
		{"trace -seconds 600", "command.(*traceBuffer).fill(", "trace -seconds 0.01", "oneshot.computeHere"},
	} {
		allocated = nil
		runtime.GC()
		runtime.GC()
		file := target(t)
		c.send(test.long + " -o " + file + "\n")
		awaitIn(t, test.in)
		computeForAWhile()
		allocateHere()
		runtime.GC()
		runtime.GC()
		contendForAWhile(t)
		c.send("\x03")
		require.Regexp(t, `^(\r.*\n)?([\d.]+ [KM]?i?B written to `+file+`(\.base)?\n)+(see what changed .*\n)?interrupted: it has what was recorded until then\n$`,
			c.expect(protocol.Prompt), test.long)
		if strings.HasPrefix(test.long, "trace") {
			require.Contains(t, goTool(t, "trace", "-d=parsed", file), test.holds)
		} else {
			require.Contains(t, pprofTop(t, file), test.holds, test.long)
		}
		require.Contains(t, c.do(test.short+" -o "+target(t)), "written to", "it is free at once")
	}
	allocated = nil
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestADisconnectEndsTheRecording(t *testing.T) {
	for _, test := range []struct{ line, in string }{
		{"profile cpu -seconds 30", "command.cpuProfile("},
		{"trace -seconds 30", "command.(*traceBuffer).fill("},
	} {
		s, c := startProfiles(t)
		file := target(t)
		c.send(test.line + " -o " + file + "\n")
		awaitIn(t, test.in)
		c.Close()
		testwait.Receive(t, s.done, "the session to end")
		require.NoError(t, pprof.StartCPUProfile(&bytes.Buffer{}))
		pprof.StopCPUProfile()
		require.NoError(t, trace.Start(&bytes.Buffer{}))
		trace.Stop()
		requireEmpty(t, filepath.Dir(file))
	}
}

func TestARecordingOfTheProgramGoesOn(t *testing.T) {
	_, c := startProfiles(t)
	var profile, tracing testwait.Buffer
	require.NoError(t, pprof.StartCPUProfile(&profile))
	defer pprof.StopCPUProfile()
	require.NoError(t, trace.Start(&tracing))
	defer trace.Stop()
	file := target(t)
	require.Equal(t, "profile: cpu profiling already in use, by another session or by the program itself; try again when it has ended; "+
		"from a shell, oneshot PID profile cpu then takes the samples from a trace\n",
		c.do("profile cpu -o "+file))
	require.Equal(t, "trace: execution tracer already enabled, by another session or by the program itself; try again when it has ended\n",
		c.do("trace -o "+file))
	require.Empty(t, profile.String(), "it goes on")
	require.True(t, trace.IsEnabled(), "it goes on")
	pprof.StopCPUProfile()
	trace.Stop()
	require.NotEmpty(t, profile.String())
	requireEmpty(t, filepath.Dir(file))
}

func TestTheProgressOfARecordingIsShown(t *testing.T) {
	_, c := startProfiles(t)
	require.Regexp(t, `^\rcpu profile: 1 of 1\.2 s\n[\d.]+ K?i?B written to`, c.do("profile cpu -seconds 1.2 -o "+target(t)))
}

func TestProfilesAreListed(t *testing.T) {
	keepSettings(t)
	_, c := startProfiles(t)
	ownProfile(t, t.Name()+"\x1b[31m")
	out := c.do("profile")
	for _, text := range []string{
		`(?m)^cpu  .* for 30s by default$`, `(?m)^heap +\d+  what was in use`, `(?m)^goroutine +[1-9]\d*  the stacks`,
		`(?m)^mutex .*; mutex profiling is off; mutexfraction N turns it on, 1 for all$`,
		`(?m)^"TestProfilesAreListed\\x1b\[31m" +1  the program's own$`, `profile NAME -o FILE`,
	} {
		require.Regexp(t, text, out)
	}
	require.NotContains(t, out, "memory profiling is off")
	c.do("blockrate 0")
	require.Regexp(t, `(?m)^block .*; block profiling is off; blockrate N turns it on, 1 for all$`, c.do("profile"))
	c.do("blockrate 1000000")
	c.do("mutexfraction 1000000")
	require.NotContains(t, c.do("profile"), " is off")
}

func TestRecordingsRefuseWrongArguments(t *testing.T) {
	_, c := startProfiles(t)
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	require.NoError(t, os.WriteFile(there, []byte("mine"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.base"), []byte("mine"), 0o644))
	dangling := filepath.Join(dir, "link")
	require.NoError(t, os.Symlink("nowhere", dangling))
	const day = `profile: invalid value "%s" for flag -seconds: give a number above 0 and at most 86400; help profile says more` + "\n"
	for _, test := range []struct{ line, answer string }{
		{"profile heap", "profile: the answer is binary: profile heap -o FILE here, or oneshot PID profile heap > FILE from a shell\n"},
		{"profile cpu -seconds 30", "profile: the answer is binary: profile cpu -o FILE here, or oneshot PID profile cpu > FILE from a shell\n"},
		{"trace", "trace: the answer is binary: trace -o FILE here, or oneshot PID trace > FILE from a shell\n"},
		{"profile -o x", "profile: give the name of a profile; profile without arguments lists them\n"},
		{"profile nothing -o x", "profile: no profile \"nothing\"; profile lists them\n"},
		{"profile heap allocs -o x", "profile: one profile at a time, not [\"heap\" \"allocs\"]\n"},
		{"profile goroutine -seconds 1 -o x", "profile: goroutine takes no -seconds; only cpu, heap, allocs, block and mutex do\n"},
		{"profile threadcreate -seconds 1 -o x", "profile: threadcreate takes no -seconds; only cpu, heap, allocs, block and mutex do\n"},
		{"profile cpu -seconds 0", fmt.Sprintf(day, "0")},
		{"profile cpu -seconds -1", fmt.Sprintf(day, "-1")},
		{"profile cpu -seconds NaN", fmt.Sprintf(day, "NaN")},
		{"profile cpu -seconds 86400.5", fmt.Sprintf(day, "86400.5")},
		{"profile cpu -seconds 30s", fmt.Sprintf(day, "30s")},
		{"profile cpu -n 3", "profile: flag provided but not defined: -n; help profile says more\n"},
		{"trace -seconds 601", "trace: invalid value \"601\" for flag -seconds: give a number above 0 and at most 600; help trace says more\n"},
		{"trace 5", "trace: it takes flags only, not \"5\"; help trace says more\n"},
		{"profile cpu -o " + there, "profile: " + there + ": file already exists; -o needs the name of a file that does not exist yet\n"},
		{"profile heap -o " + there, "profile: " + there + ": file already exists; -o needs the name of a file that does not exist yet\n"},
		{"profile heap -seconds 9 -o " + dir + "/x", "profile: " + dir + "/x.base: file already exists; -o needs the name of a file that does not exist yet\n"},
		{"trace -o " + there, "trace: " + there + ": file already exists; -o needs the name of a file that does not exist yet\n"},
		{"profile cpu -o " + dangling, "profile: " + dangling + ": file already exists; -o needs the name of a file that does not exist yet\n"},
		{"profile cpu -o " + dir, "profile: " + dir + ": file already exists; -o needs the name of a file that does not exist yet\n"},
		{"profile cpu -o " + dir + "/new/", "profile: " + dir + "/new/ is a folder; give the name of a new file in it\n"},
		{"profile cpu -o " + there + "/x", "profile: lstat " + there + "/x: not a directory; -o needs the name of a file that does not exist yet\n"},
	} {
		require.Equal(t, test.answer, c.do(test.line), test.line)
	}
	require.Regexp(t, `^profile: cannot create a file in .*/no: open .*: no such file or directory; give another folder\n$`,
		c.do("profile cpu -o "+dir+"/no/x"))
	text, err := os.ReadFile(there)
	require.NoError(t, err)
	require.Equal(t, "mine", string(text))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 3)
}

func TestWarningOfAProfileThatIsOff(t *testing.T) {
	keepSettings(t)
	_, c := startProfiles(t)
	c.do("blockrate 0")
	require.Regexp(t, `^warning: block profiling is off; blockrate N turns it on, 1 for all\n[\d.]+ K?i?B written to`, c.do("profile block -o "+target(t)))
	file := target(t)
	require.Regexp(t, `^warning: mutex profiling is off; mutexfraction N turns it on, 1 for all\n[\d.]+ K?i?B written to`, c.do("profile mutex -seconds 0.01 -o "+file))
	pprofTop(t, file)
}

func TestAScriptGetsTheProfileItself(t *testing.T) {
	keepSettings(t)
	compute(t)
	for _, test := range []struct{ line, holds, warning string }{
		{"profile cpu -seconds 0.3", "", ""},
		{"profile goroutine", "(*Session).perform", ""},
		{"profile heap", "", ""},
		{"profile allocs", "", ""},
		{"profile threadcreate", "", ""},
		{"profile allocs -seconds 0.1", "", ""},
		{"profile mutex", "", "warning: mutex profiling is off; mutexfraction N turns it on, 1 for all\n"},
	} {
		answer := answerOf(t, test.line)
		require.Equal(t, "0", answer[protocol.End], test.line)
		require.Equal(t, test.warning, answer[protocol.Error], test.line)
		require.Equal(t, strings.HasPrefix(test.line, "profile allocs -seconds"), answer[protocol.Base] != "", test.line)
		file := target(t)
		require.NoError(t, os.WriteFile(file, []byte(answer[protocol.Output]), 0o600))
		require.Contains(t, pprofTop(t, file), test.holds, test.line)
	}
	answer := answerOf(t, "profile heap -seconds 0.01")
	base := target(t)
	require.NoError(t, os.WriteFile(base, []byte(answer[protocol.Base]), 0o600))
	require.Contains(t, pprofTop(t, base), "Type: inuse_space", "the client can read it")

	file := target(t)
	for _, test := range []struct {
		line string
		text func() string
	}{
		{"profile cpu -seconds 0.3", func() string { return pprofTop(t, file) }},
		{"trace -seconds 0.2", func() string { return goTool(t, "trace", "-d=parsed", file) }},
	} {
		requireComputing(t, func() string {
			require.NoError(t, os.WriteFile(file, []byte(answerOf(t, test.line)[protocol.Output]), 0o600))
			return test.text()
		})
	}

	answer = answerOf(t, "profile cpu -seconds 0")
	require.Equal(t, "1", answer[protocol.End])
	require.Contains(t, answer[protocol.Error], "give a number above 0")
	require.Empty(t, answer[protocol.Output])
	answer = answerOf(t, "profile heap -o "+filepath.Join(t.TempDir(), "x"))
	require.Regexp(t, `^[\d.]+ K?i?B written to`, answer[protocol.Output])
	answer = answerOf(t, "profile cpu", "command.cpuProfile(")
	require.Equal(t, "130", answer[protocol.End])
	require.Equal(t, "interrupted: it has what was recorded until then\n", answer[protocol.Error])
	require.NoError(t, os.WriteFile(file+".cut", []byte(answer[protocol.Output]), 0o600))
	require.Contains(t, pprofTop(t, file+".cut"), "Type: cpu")
}

// noClient is a session in which a command may only write, and change a setting.
type noClient struct{ command.Session }

func (noClient) Write(p []byte) (int, error) { return len(p), nil }
func (noClient) Changed(command.Change)      {}

// keepSettings restores the settings that a test changes.
func keepSettings(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	off := func() {
		runtime.SetMutexProfileFraction(0)
		for _, cmd := range command.All() {
			if cmd.Name == "blockrate" {
				require.NoError(t, cmd.Run(context.Background(), noClient{}, []string{"0"}))
			}
		}
	}
	off()
	t.Cleanup(func() {
		off()
		runtime.GOMAXPROCS(procs)
	})
}
