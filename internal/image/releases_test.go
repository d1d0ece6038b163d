//go:build linux && (amd64 || arm64)

package image_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gomanhole/oneshot/internal/image/core/coretest"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// parkedSource is a program for any release: it parks goroutines and writes what
// runtime.Stack says about them into the file that its argument names.
const parkedSource = `package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

func outer(c chan int) { inner(c) }
func inner(c chan int) { <-c }

type value struct{ n [3]int }

func (v value) wait(c chan int) { <-c }

type waiter interface{ wait(chan int) }

type list[T any] struct{ c chan T }

//go:noinline
func (l *list[T]) receive() { <-l.c }

//go:noinline
func deep(n int, c chan int) int {
	if n == 0 {
		return <-c
	}
	var big [100]int
	big[n%100] = deep(n-1, c)
	return big[0] + big[n%100]
}

func main() {
	c := make(chan int)
	var nilChannel chan int
	var mutex sync.Mutex
	var group sync.WaitGroup
	var w waiter = &value{}
	cond := sync.NewCond(new(sync.Mutex))
	mutex.Lock()
	group.Add(1)
	for _, f := range []func(){
		func() { outer(c) }, func() { value{}.wait(c) }, func() { w.wait(c) }, (&list[string]{make(chan string)}).receive,
		mutex.Lock, group.Wait, func() { cond.L.Lock(); cond.Wait() }, func() { deep(45, c) },
		func() { select {} }, func() { nilChannel <- 1 }, func() { select { case <-c: case nilChannel <- 1: } },
		func() { runtime.LockOSThread(); time.Sleep(time.Hour) },
		func() { defer func() { recover(); <-c }(); var p *int; *p = 1 },
		func() { pprof.Do(context.Background(), pprof.Labels("tenant", "acme", "b c", "d\"e"), func(context.Context) { <-c }) },
	} {
		go f()
		go f()
	}
	// The listing is taken when all have parked. Only this goroutine runs then.
	buf := make([]byte, 1<<20)
	text := ""
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		text = string(buf[:runtime.Stack(buf, true)])
		if strings.Count(text, "goroutine ") >= 29 && strings.Count(text, "[running") == 1 && !strings.Contains(text, "[runnable") {
			break
		}
		if time.Now().After(deadline) {
			panic("timeout, waited for: goroutines that wait")
		}
	}
	if err := os.WriteFile(os.Args[1], []byte(text), 0o600); err != nil {
		panic(err)
	}
	fmt.Println("ready")
	time.Sleep(5 * time.Minute)
}
`

// releases are toolchains of all lines that are read, and of patch releases that
// changed the runtime's structs.
var releases = []string{
	"go1.21.13", "go1.22.12", "go1.23.0", "go1.23.4", "go1.23.12", "go1.24.0", "go1.24.13", "go1.25.8", "go1.26.8", "go1.27.4",
}

// TestProgramsOfAllReleases compares programs that the toolchains on this machine
// build with what their own runtime says. It says which releases it has compared.
func TestProgramsOfAllReleases(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(source, []byte(parkedSource), 0o600))
	for _, flags := range [][]string{nil, {"-ldflags=-s -w", "-trimpath"}, {"-buildmode=pie"}, {"-buildmode=pie", "-ldflags=-s -w"}} {
		compareBuilt(t, dir, "local", flags...)
	}
	if testwait.RaceDetector {
		t.Log("the other releases: not compared with the race detector, which sees nothing more in a reader on one goroutine")
		return
	}
	for _, toolchain := range releases {
		if !atHand(t, toolchain) {
			t.Logf("%s: not compared, the machine does not have it", toolchain)
			continue
		}
		compareBuilt(t, dir, toolchain, "-ldflags=-s -w")
	}
}

// atHand reports whether the machine has a toolchain.
func atHand(t *testing.T, toolchain string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "version")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain, "GOPROXY=off")
	text, err := cmd.Output()
	return err == nil && bytes.Contains(text, []byte(toolchain+" "))
}

// compareBuilt builds and runs the program, takes a core and compares all goroutines
// but the main one.
func compareBuilt(t *testing.T, dir, toolchain string, flags ...string) {
	t.Helper()
	binary, listing, path := filepath.Join(dir, "program"), filepath.Join(dir, "listing"), filepath.Join(dir, "core")
	cmd := testwait.Command(t, "go", slices.Concat([]string{"build"}, flags, []string{"-o", binary, "main.go"})...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	child := testwait.Start(t, testwait.Command(t, binary, listing), "ready")
	coretest.Write(t, child.Process.Pid, path)
	_, p := openCore(t, path, binary)
	snapshot, err := p.Snapshot(nothing)
	require.NoError(t, err)
	child.Stop()

	text, err := os.ReadFile(listing)
	require.NoError(t, err)
	want, got := each((&stack.Listing{Text: text}).Group(nothing)), each(snapshot)
	what := p.Build.GoVersion + " " + strings.Join(flags, " ")
	require.Len(t, want, 29, what)
	labels := 0
	for id, w := range want {
		g, ok := got[id]
		require.True(t, ok, "%s: goroutine %d", what, id)
		for _, l := range g.Labels {
			require.Equal(t, `{"b c":"d\"e", "tenant":"acme"}`, l.Labels, what)
			labels++
		}
		if w.Labels = nil; id == 1 {
			continue // it has gone on
		}
		g.Labels = nil
		require.Equal(t, w.State, g.State, "%s: goroutine %d", what, id)
		require.Equal(t, w.Frames, g.Frames, "%s: goroutine %d", what, id)
		require.Equal(t, w.Creator, g.Creator, "%s: goroutine %d", what, id)
		require.Equal(t, w.Members, g.Members, "%s: goroutine %d", what, id)
	}
	require.Len(t, got, len(want), what)
	require.Equal(t, 2, labels, what)
	t.Logf("%s: %d goroutines compared", what, len(want))
}
