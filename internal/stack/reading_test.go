//go:build linux && gc && (amd64 || arm64) && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

package stack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/testwait"
)

func init() {
	programs["read"], programs["moving"] = readProgram, movingProgram
}

// seen is what a snapshot says about one goroutine.
type seen struct {
	State, Frames, Labels string
	Creator               Frame
	Goroutine
}

// each returns what a snapshot says about each goroutine that waits.
func each(s *Snapshot) map[uint64]seen {
	all := make(map[uint64]seen)
	for _, g := range s.Groups {
		for _, m := range g.Members {
			if !spins(&g) {
				all[m.ID] = seen{g.State, text(g.Frames), fmt.Sprint(g.Labels), g.Creator, m}
			}
		}
	}
	return all
}

func mustList() *Snapshot {
	t, err := TakeListing(256 << 20)
	if err != nil {
		panic(err)
	}
	defer t.Release()
	s := t.Group(none)
	p, err := Labeled(none)
	if err != nil {
		panic(err)
	}
	s.AddLabels(p)
	s.AddTurns()
	return s
}

func mustRead() *Snapshot {
	s, err := Read(none)
	if err != nil {
		panic(err)
	}
	return s
}

// parkCrowd parks goroutines in every way, more of them than are read with a listing
// elsewhere. It returns what the runtime says about those that wait.
func parkCrowd() map[uint64]seen {
	runtime.GOMAXPROCS(4)
	for name, wait := range parkings {
		for range 25 {
			if name != "spin" {
				go wait()
			}
		}
	}
	for range 25 {
		go reflect.MakeFunc(reflect.TypeFor[func()](), func([]reflect.Value) []reflect.Value { select {} }).Interface().(func())()
		go reflect.ValueOf(inlined).Call(nil)
		go runtime.Goexit()
	}
	var last, now map[uint64]seen
	same := 0
	testwait.Until(func() bool {
		last, now = now, each(mustList())
		if same++; !reflect.DeepEqual(last, now) {
			same = 0
		}
		return same == 5
	}, "the goroutines come to rest")
	return now
}

// disagreements compares what is read with what the runtime says about goroutines that
// have not moved.
func disagreements(want map[uint64]seen, s *Snapshot) (text string) {
	got := each(s)
	for id, w := range want {
		if g := got[id]; w != g && !(strings.Contains(w.Frames, "frames elided") && w.State == g.State && w.Creator == g.Creator && w.Goroutine == g.Goroutine) {
			text += fmt.Sprintf("goroutine %d is\n%+v\nand was read as\n%+v\n", id, w, g)
		}
	}
	return text
}

// readBack returns the snapshot of the texts of all single goroutines.
func readBack(s *Snapshot) *Snapshot {
	var l Listing
	for id := range each(s) {
		l.Text = append(append(l.Text, s.Goroutine(id)...), '\n')
	}
	back := l.Group(none)
	back.AddTurns()
	return back
}

// readProgram compares the goroutines of a program that is at rest.
func readProgram() {
	want := parkCrowd()
	if len(want) < 600 {
		panic(fmt.Sprintf("only %d goroutines wait", len(want)))
	}
	fmt.Print(disagreements(want, readBack(mustRead())))
	for range 2 {
		go spin()
	}
	testwait.Until(func() bool { // a goroutine that runs is not always caught
		s := mustRead()
		fmt.Print(disagreements(want, s))
		spinning := 0
		for _, g := range find(s, "stack.spin ") {
			spinning += g.Count
		}
		return spinning == 2 && len(each(s)) == len(want)
	}, "all goroutines are read, and the stacks of those that run")
}

// TestReadAgreesWithTheRuntime in all settings that concern stacks.
func TestReadAgreesWithTheRuntime(t *testing.T) {
	all := []string{
		"", "tracebacklabels=1", "tracebackancestors=5", "harddecommit=1", "madvdontneed=1", "gcshrinkstackoff=1", "invalidptr=1",
		"adaptivestackstart=1", "clobberfree=1", "gcstoptheworld=2",
	}
	if testwait.RaceDetector { // with which each takes ten times as long
		all = all[:3]
	}
	for _, settings := range all {
		t.Run(settings, func(t *testing.T) {
			cmd := testwait.Command(t, os.Args[0])
			cmd.Env = append(os.Environ(), "GODEBUG="+settings, "STACK_PROGRAM=read")
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			require.NoError(t, err)
			require.Empty(t, string(out))
		})
	}
}

// movingProgram looks at a program in which 8 goroutines run, others come and go, their
// stacks grow and shrink, and the collector runs.
func movingProgram() {
	want := parkCrowd()
	debug.SetGCPercent(20)
	var ended atomic.Bool
	for range 8 {
		go func() {
			for !ended.Load() {
				garbage.Store(new([1 << 10]byte))
				runtime.Gosched()
			}
		}()
	}
	ping, pong := make(chan int), make(chan int)
	go func() {
		for range ping {
			pong <- grow(20)
		}
	}()
	go func() {
		for !ended.Load() {
			ping <- 1
			<-pong
		}
	}()
	go func() {
		for !ended.Load() {
			time.Sleep(time.Millisecond)
			go func() { grow(50); time.Sleep(time.Millisecond); grow(10) }()
		}
	}()
	looks, enough := 0, 1000
	if testwait.RaceDetector { // with which each takes ten times as long
		enough = 100
	}
	for began := time.Now(); looks < enough && time.Since(began) < testwait.Patience; looks++ {
		fmt.Print(disagreements(want, mustRead()))
	}
	ended.Store(true)
	fmt.Fprintln(os.Stderr, looks, "looks")
}

var garbage atomic.Pointer[[1 << 10]byte]

// grow uses more of the stack than it has at the beginning.
//
//go:noinline
func grow(n int) int {
	var room [256]byte
	if n == 0 {
		return int(room[n])
	}
	return grow(n-1) + int(room[n])
}

func TestReadWhileTheProgramMoves(t *testing.T) {
	cmd := testwait.Command(t, os.Args[0])
	cmd.Env = append(os.Environ(), "STACK_PROGRAM=moving")
	var looks testwait.Buffer
	cmd.Stderr = &looks
	out, err := cmd.Output()
	require.NoError(t, err, looks.String())
	require.Empty(t, string(out))
	t.Log(looks.String())
}

// TestTheNumberReadMustBeTheRuntimes but for those that come and go meanwhile.
func TestTheNumberReadMustBeTheRuntimes(t *testing.T) {
	r := reading{members: make([]Goroutine, 950), excluded: 50}
	require.NoError(t, r.checkCount(1000, 1000))
	require.NoError(t, r.checkCount(800, 990), "as many as before or after, within bounds")
	require.NoError(t, r.checkCount(1100, 1140))
	require.ErrorAs(t, r.checkCount(700, 800), new(countError))
	require.EqualError(t, r.checkCount(1300, 1200), "1000 were read, but the runtime counts 1200")
}

// TestReadOnARM64 is about its stacks, which have another form.
func TestReadOnARM64(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		t.Skip("the other tests are about this machine already")
	}
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skip("qemu-aarch64-static is not there; install qemu-user-static")
	}
	binary := filepath.Join(t.TempDir(), "stack.test")
	build := testwait.Command(t, "go", "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	require.NoError(t, err, string(text))
	cmd := testwait.Command(t, qemu, binary)
	cmd.Env = append(os.Environ(), "STACK_PROGRAM=read")
	text, err = cmd.CombinedOutput()
	require.NoError(t, err, string(text))
	require.Empty(t, string(text))
}
