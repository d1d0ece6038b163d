//go:build linux && (amd64 || arm64)

package image_test

import (
	"debug/elf"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/image"
	"github.com/gomanhole/oneshot/internal/image/live"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// allReleasesEnv lets the tests of running programs build them with each release from
// 1.21 on. Without it they use the two supported ones. The go command gets toolchains
// that the machine does not have.
const allReleasesEnv = "ONESHOT_TEST_ALL_RELEASES"

// releasesToRun returns one toolchain for each release.
func releasesToRun() []string {
	supported := []string{"go1.26.8", "go1.27.4"}
	switch {
	case os.Getenv(allReleasesEnv) != "":
		return append([]string{"go1.21.13", "go1.22.12", "go1.23.12", "go1.24.13", "go1.25.8"}, supported...)
	case testwait.RaceDetector: // which sees nothing more in a reader on one goroutine
		return supported[:1]
	}
	return supported
}

// runningProgram is a program of testdata/parked that runs.
type runningProgram struct {
	*testwait.Child
	binary string
	want   map[uint64]stack.Group // what its runtime says about its parked goroutines
}

// startParked builds the program of testdata/parked and starts it, with the command
// emulator if that is not empty.
func startParked(t *testing.T, toolchain, arch string, emulator []string, args ...string) runningProgram {
	t.Helper()
	dir := t.TempDir()
	sources, err := filepath.Glob("testdata/parked/*.go")
	require.NoError(t, err)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(source)), text, 0o600))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module parked\n\ngo 1.21\n"), 0o600))
	binary, listing := filepath.Join(dir, "parked"), filepath.Join(dir, "listing")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", binary, ".") // ends with the test; a busy machine builds the standard library first
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0", "GOARCH="+arch)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	run := slices.Concat(emulator, []string{binary, listing}, args)
	command := testwait.Command(t, run[0], run[1:]...)
	p := runningProgram{Child: testwait.Start(t, command, "ready"), binary: binary}
	text, err := os.ReadFile(listing)
	require.NoError(t, err)
	p.want = each((&stack.Listing{Text: text}).Group(nothing))
	delete(p.want, 1) // it has gone on
	return p
}

// open opens the memory of the program.
func (r runningProgram) open(t *testing.T) *image.Program {
	t.Helper()
	process, err := live.Open(r.Process.Pid)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, process.Close()) })
	// Not process.Executable: with an emulator that is another program.
	file, err := os.Open(r.binary)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	executable, err := elf.NewFile(file)
	require.NoError(t, err)
	require.Equal(t, elf.ET_EXEC, executable.Type, "its addresses are those of the file")
	p, err := image.Open(process, executable, io.ReaderAt(file), 0, nil)
	require.NoError(t, err)
	var now unix.Timespec
	require.NoError(t, unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	p.Now = now.Nano()
	return p
}

// compare compares the parked goroutines of a snapshot with what the runtime said, and
// returns how many others there are.
func (r runningProgram) compare(t *testing.T, s *stack.Snapshot, what string) (others []stack.Group) {
	t.Helper()
	require.False(t, s.Cut, what)
	got := each(s)
	for id, w := range r.want {
		g, ok := got[id]
		require.True(t, ok, "%s: goroutine %d %v", what, id, w)
		member := w.Members[0]
		member.Minutes = g.Members[0].Minutes // it may have waited for a minute by now
		if w.State != g.State || w.Creator != g.Creator || member != g.Members[0] || !slices.Equal(w.Frames, g.Frames) {
			require.Fail(t, "a goroutine differs", "%s: goroutine %d\nthe runtime: %v\nread:        %v", what, id, w, g)
		}
		delete(got, id)
	}
	for id, g := range got {
		if id != 1 {
			others = append(others, g)
		}
	}
	return others
}

// TestTenThousandGoroutinesOfARunningProgram compares programs that run with what their
// own runtime says, goroutine by goroutine.
func TestTenThousandGoroutinesOfARunningProgram(t *testing.T) {
	for _, toolchain := range releasesToRun() {
		t.Run(toolchain, func(t *testing.T) {
			r := startParked(t, toolchain, "amd64", nil, "10000")
			checkParked(t, r, 10_000)
		})
	}
}

// checkParked reads a program with n parked goroutines once.
func checkParked(t *testing.T, r runningProgram, n int) {
	t.Helper()
	s, err := r.open(t).Snapshot(nothing)
	require.NoError(t, err)
	require.Zero(t, s.Unread, s.Unknown)
	require.GreaterOrEqual(t, len(r.want), n)
	require.Empty(t, r.compare(t, s, "parked"))
	count, err := r.open(t).Count()
	require.NoError(t, err)
	require.InDelta(t, s.Total, count, 30, "with some of the runtime's own")
	states, labels := map[string]bool{}, 0
	for _, g := range s.Groups {
		states[g.State] = true
		for _, l := range g.Labels {
			require.Equal(t, `{"b c":"d\"e", "tenant":"acme"}`, l.Labels)
			labels += l.Count
		}
	}
	require.Greater(t, labels, n/100)
	for _, state := range []string{
		"chan receive", "chan send", "chan receive (nil chan)", "chan send (nil chan)", "select", "select (no cases)", "IO wait", "syscall", "sleep",
		"sync.RWMutex.RLock", "sync.RWMutex.Lock", "sync.Mutex.Lock", "sync.Cond.Wait",
	} {
		require.True(t, states[state], "%s in %v", state, states)
	}
}

// TestLooksAtAProgramThatMoves looks very often at a program in which goroutines run,
// come and go. The parked ones are equal in each look. The others are complete or
// counted as unread: no look shows a stack that never was.
func TestLooksAtAProgramThatMoves(t *testing.T) {
	looks := 1000
	if testwait.RaceDetector { // with which each takes ten times as long
		looks = 50
	}
	r := startParked(t, "local", "amd64", nil, "270", "moving")
	p := r.open(t)
	seen, moved, bare := map[uint64]bool{}, 0, 0
	done := 0
	for deadline := time.Now().Add(testwait.Patience); done < looks && time.Now().Before(deadline); done++ { // a busy machine does fewer
		s, err := p.Snapshot(nothing)
		require.NoError(t, err)
		moved += s.Unread
		for _, g := range r.compare(t, s, "moving") {
			seen[g.Members[0].ID] = true
			if len(g.Frames) == 0 {
				bare++ // nothing is known of where it runs
				continue
			}
			root := g.Frames[len(g.Frames)-1].Function
			if root == "runtime.goexit1" { // its own function has returned, and another goroutine got the CPU just then
				require.False(t, slices.ContainsFunc(g.Frames, func(f stack.Frame) bool { return strings.HasPrefix(f.Function, "main.") }), "%v", g)
				continue
			}
			if root == "main.comeAndGo.gowrap1" { // it has not begun yet, and has only the wrapper of its go statement
				require.Len(t, g.Frames, 1, "%v", g)
				continue
			}
			require.Contains(t, []string{"main.run", "main.come", "main.comeAndGo"}, root, "%v", g)
			own := slices.IndexFunc(g.Frames, func(f stack.Frame) bool { return strings.HasPrefix(f.Function, "main.") }) // above are calls of the library
			for i, f := range g.Frames[own:] {
				if own+i == len(g.Frames)-1 || root == "main.come" && f.Function == "main.come" || root == "main.run" && f.Function == "main.work" {
					continue
				}
				require.Fail(t, "this stack cannot be", "%v", g)
			}
		}
	}
	t.Logf("%d looks at %d parked goroutines; %d others, %d times without calls, %d times moved", done, len(r.want), len(seen), bare, moved)
	require.Greater(t, done, looks/10)
	require.Greater(t, len(seen), done/10, "goroutines come and go")
}
