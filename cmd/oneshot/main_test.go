//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/notice"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// With programEnv the test binary is one of the programs of runProgram, with
// clientEnv it is the client. pathEnv is the socket path of a program.
const (
	programEnv = "ONESHOT_CLIENT_TEST_PROGRAM"
	clientEnv  = "ONESHOT_CLIENT_TEST_CLIENT"
	pathEnv    = "ONESHOT_CLIENT_TEST_PATH"
)

func TestMain(m *testing.M) {
	// By default each program sleeps for a second at its end under the race detector.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	if name := os.Getenv(programEnv); name != "" {
		runProgram(name)
	}
	testwait.HeedHangup()
	if os.Getenv(clientEnv) != "" {
		status := run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
		if file := os.Getenv(peakEnv); file != "" {
			writePeak(file)
		}
		os.Exit(status)
	}
	testscript.Main(m, map[string]func(){
		"oneshot": func() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// peakEnv is a variable that has the client write its largest memory to a file. What
// wait4(2) says of it contains the memory of the test, which has started it.
const peakEnv = "ONESHOT_TEST_PEAK"

func writePeak(file string) {
	text, err := os.ReadFile("/proc/self/status")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		panic(err)
	}
}

// runProgram is a Go program that prints that it is ready and runs until the end of
// its input.
func runProgram(name string) {
	switch path := os.Getenv(pathEnv); name {
	case "installed": // has a manhole that a signal opens
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: path, Commands: commands})
	case "sections": // has parts of its own for a bundle, and a flight recorder
		recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{})
		if err := recorder.Start(); err != nil {
			panic(err)
		}
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, FlightRecorder: recorder, Sections: sections})
	case "profiled": // has a manhole, and uses the CPU under its own profiler
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2})
		if err := pprof.StartCPUProfile(io.Discard); err != nil {
			panic(err)
		}
		go func() { spinForever() }()
	case "core": // leaves a core
		coreProgram()
	case "handler": // serves its clients itself
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: path, Handler: silent{}})
	case "activated": // has a manhole that one signal opens and another keeps open
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, ActivateOn: syscall.SIGUSR1, SocketPath: path})
	case "asksforint": // asks for a signal that ends it, because it does not listen to it any more
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGINT, SocketPath: path})
		signal.Reset(syscall.SIGINT)
	case "uninstalls": // uninstalls its manhole at the first signal, and counts the signals
		m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, NoReceiver: true})
		if err != nil {
			panic(err)
		}
		c := make(chan os.Signal, 100)
		signal.Notify(c, syscall.SIGUSR2)
		fmt.Println("ready")
		select {
		case <-c:
		case <-time.After(testwait.Patience):
			fmt.Fprintln(os.Stderr, "timeout, waited for: SIGUSR2")
			os.Exit(2)
		}
		_ = m.Uninstall()
		_, _ = io.Copy(io.Discard, os.Stdin)
		fmt.Println(1+len(c), "signals")
		os.Exit(0)
	case "triggered": // has a manhole that no signal opens
		mustInstall(oneshot.Options{SocketPath: path, NoReceiver: true})
	case "deaf": // has a manhole, and does not receive the signal that opens it
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: path, NoReceiver: true})
	case "withfile": // has a manhole that a trigger file opens
		mustInstall(oneshot.Options{TriggerFile: path + " trigger", SocketPath: path})
	case "liar": // shows a notice with a path that it may not use
		notice.Post(notice.Notice{Oneshot: "SIGUSR2", Path: path})
		signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR2)
	case "undumpable": // has no manhole, and its user may not read it
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			panic(err)
		}
	case "plain": // has no manhole
	case "parkedinstalled": // has a manhole, and goroutines that wait
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, Commands: commands})
		fallthrough
	case "parked": // has no manhole, and goroutines that wait
		for range 40 {
			go func() { offer(make(chan int)) }()
		}
	case "many": // has a manhole, and more goroutines than the runtime is asked about
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2})
		for range manyGoroutines + 1000 {
			go func() { offer(make(chan int)) }()
		}
	case "holds": // has a manhole, and descriptors of every kind beside it
		mustInstall(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: path})
		holdDescriptors(filepath.Dir(path))
	case "hostile": // has no manhole, and names that do harm to a terminal
		haveHostileNames(path)
	case "grows": // has no manhole, and one goroutine more for each line
		growWithLines()
	case "ps": // runs oneshot ps
		if err := runPS(nil, os.Stdout, os.Stderr); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case "trap":
		trap(path)
	case "frozen": // it cannot run Go code any more: loops that cannot be preempted use all CPUs
		fmt.Println("ready")
		for range runtime.GOMAXPROCS(0) {
			go func() { spinForever() }()
		}
		runtime.GC() // it waits for the loops, and all goroutines wait for it
	default:
		fmt.Fprintln(os.Stderr, "no program", name)
		os.Exit(2)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	if m := oneshot.Installed(); m != nil {
		_ = m.Uninstall() // it removes the socket of an open window
	}
	os.Exit(0)
}

// sections are the program's own parts of a bundle.
var sections = map[string]func(context.Context, io.Writer) error{
	"cache": func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, "\x1b and \xff\n")
		return err
	},
	"../évil": func(_ context.Context, w io.Writer) error {
		_, _ = io.WriteString(w, "so far\n")
		panic("oops")
	},
}

// silent is a handler that sends nothing.
type silent struct{}

func (silent) Serve(ctx context.Context, _ *oneshot.Session) error {
	<-ctx.Done()
	return nil
}

func mustInstall(o oneshot.Options) {
	if _, err := oneshot.Install(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// startProgram starts one of the programs and returns its pid when it is ready.
func startProgram(t *testing.T, name string, env ...string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), programEnv+"="+name), env...)
	pid := clienttest.StartReady(t, cmd)
	testwait.RemoveDead(fmt.Sprintf("/tmp/manhole-%d", pid))
	return pid
}

// call runs a subcommand and returns its output.
func call(t *testing.T, subcommand string, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	require.NoError(t, runSubcommand(subcommand, args, &out, &errs))
	return out.String(), errs.String()
}

//go:noinline
func offer(c chan int) { c <- 1 }

var thawed atomic.Bool // never

//go:noinline
func spinForever() {
	for !thawed.Load() {
	}
}
