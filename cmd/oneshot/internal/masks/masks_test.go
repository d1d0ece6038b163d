//go:build linux

package masks

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/cmd/oneshot/internal/clienttest"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// programEnv makes the test binary one of the programs of runProgram. pathEnv is
// where the socket of its manhole belongs.
const (
	programEnv = "ONESHOT_MASKS_TEST_PROGRAM"
	pathEnv    = "ONESHOT_MASKS_TEST_PATH"
)

func TestMain(m *testing.M) {
	// By default each program sleeps for a second at its end under the race detector.
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE"))
	if name := os.Getenv(programEnv); name != "" {
		runProgram(name)
		os.Exit(0)
	}
	testwait.HeedHangup()
	os.Exit(m.Run())
}

// runProgram is a Go program that prints that it is ready and runs until the end of
// its input.
func runProgram(name string) {
	switch name {
	case "plain":
	case "listening":
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGUSR1, syscall.SIGWINCH, syscall.SIGTERM)
	case "installed":
		m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: os.Getenv(pathEnv)})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		defer func() { _ = m.Uninstall() }() // it removes the socket of an open window
	default:
		fmt.Fprintln(os.Stderr, "no program", name)
		os.Exit(2)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// startProgram starts a program and returns its pid when it is ready.
func startProgram(t *testing.T, name, path string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programEnv+"="+name, pathEnv+"="+path)
	return clienttest.StartReady(t, cmd)
}

func printed(t *testing.T, arg string) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, Print(&out, arg))
	return out.String()
}

func compared(t *testing.T, first, second string) string {
	t.Helper()
	var out strings.Builder
	require.NoError(t, Compare(&out, first, second))
	return out.String()
}

func TestPrintMask(t *testing.T) {
	const want = "0x000000004b813efb, in decimal 1266761467: 18 signals\n" +
		"  SIGHUP(1) SIGINT(2) SIGILL(4) SIGTRAP(5) SIGABRT(6) SIGBUS(7) SIGFPE(8) SIGUSR1(10) SIGSEGV(11)\n" +
		"  SIGUSR2(12) SIGPIPE(13) SIGALRM(14) SIGCHLD(17) SIGXCPU(24) SIGXFSZ(25) SIGVTALRM(26) SIGWINCH(28)\n" +
		"  SIGSYS(31)\n"
	for _, arg := range []string{"0x4b813efb", "4b813efb", "000000004b813efb", "0x000000004B813EFB"} {
		out := printed(t, arg)
		require.Equal(t, want, out, arg)
	}
	out := printed(t, "1266761467")
	require.Equal(t, "1266761467 is taken as a mask, because no process has this pid\n"+want, out)
	out = printed(t, "USR2,12,RTMAX,32")
	require.Equal(t, "0x8000000080000800, in decimal 9223372039002261504: 3 signals\n  SIGUSR2(12) SIG32(32) SIGRTMAX(64)\n", out)
	out = printed(t, "none")
	require.Equal(t, "0x0000000000000000, in decimal 0: 0 signals\n  none\n", out)
}

func TestCompareMasks(t *testing.T) {
	out := compared(t, "HUP,USR1", "USR1,TERM")
	require.Equal(t, `first:  0x0000000000000201, in decimal 513
second: 0x0000000000004200, in decimal 16896
only 0x0000000000000201: 0x0000000000000001
  SIGHUP(1)
only 0x0000000000004200: 0x0000000000004000
  SIGTERM(15)
both: 0x0000000000000200
  SIGUSR1(10)
`, out)
	out = compared(t, "HUP", "0x1")
	require.Contains(t, out, "the same in both, 0x0000000000000001\n  SIGHUP(1)\n")
}

func TestWrongArgument(t *testing.T) {
	for _, arg := range []string{"x", "0x", "0x10000000000000000", "USR3", ""} {
		var syntax *SyntaxError
		require.ErrorAs(t, Print(io.Discard, arg), &syntax, arg)
		require.ErrorAs(t, Compare(io.Discard, "HUP", arg), &syntax, arg)
	}
}

// startIgnoringHUP starts sleep with SIGHUP ignored, as nohup does.
func startIgnoringHUP(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sh", "-c", `trap "" HUP; exec sleep 1000`)
	pid := clienttest.Start(t, cmd)
	clienttest.Poll(t, "sh becomes sleep", func() (string, bool) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return fmt.Sprintf("%q, %v", comm, err), err == nil && string(comm) == "sleep\n"
	})
	return pid
}

func TestPrintProcess(t *testing.T) {
	pid := startIgnoringHUP(t)
	out := printed(t, strconv.Itoa(pid))
	require.Contains(t, out, fmt.Sprintf("process %d (sleep), not a Go program\n", pid))
	require.Contains(t, out, "SigIgn 0000000000000001  ignored\n  SIGHUP(1)\n")
	for _, row := range processRows {
		require.Contains(t, out, "\n"+row.name+" ")
	}
	require.Contains(t, out, "\n1 thread\n")
	require.NotContains(t, out, "listens")

	out = compared(t, strconv.Itoa(pid), "0x3")
	require.Contains(t, out, fmt.Sprintf("SigIgn, ignored\n  only process %d: 0x0000000000000000\n    none\n  only 0x0000000000000003: 0x0000000000000002\n"+
		"    SIGINT(2)\n  both: 0x0000000000000001\n    SIGHUP(1)\n", pid))
}

func TestPrintGoProgram(t *testing.T) {
	pid := startProgram(t, "listening", "")
	out := printed(t, strconv.Itoa(pid))
	require.Contains(t, out, "listens to\n  SIGUSR1(10) SIGWINCH(28)\n")
	require.Contains(t, out, "not known: whether it also listens to SIGHUP,SIGINT,SIGQUIT,SIGTERM")
	require.Contains(t, out, "SigCgt says little here")

	require.Regexp(t, `SigCgt [0-9a-f]{16}  caught\n  all but SIGCONT\(18\) `, out)

	other := startProgram(t, "installed", testwait.TempDir(t)+"/s")
	out = compared(t, strconv.Itoa(pid), strconv.Itoa(other))
	require.Contains(t, out, fmt.Sprintf("only process %d: 0x0000000008000200\n    SIGUSR1(10) SIGWINCH(28)\n  only process %d: 0x0000000000000800\n    SIGUSR2(12)\n", pid, other))

	silent := startProgram(t, "plain", "")
	out = printed(t, strconv.Itoa(silent))
	require.Contains(t, out, "listens to: not known\n")
}

// A thread in a signal handler blocks all signals for a moment.
func TestPrintWhileSignalsArrive(t *testing.T) {
	pid := startProgram(t, "listening", "")
	threads, err := readThreads(pid)
	require.NoError(t, err)
	tid := findListening(threads).tid
	require.NotZero(t, tid)
	var over atomic.Bool
	var sender sync.WaitGroup
	sender.Go(func() {
		for !over.Load() {
			_ = unix.Tgkill(pid, tid, syscall.SIGUSR1) // the program lives until the test ends
			runtime.Gosched()
		}
	})
	defer sender.Wait()
	defer over.Store(true)
	for range 100 {
		out := printed(t, strconv.Itoa(pid))
		require.Contains(t, out, "listens to\n  SIGUSR1(10) SIGWINCH(28)\n")
	}
}

// The thread of a session looks like the runtime's signal thread.
func TestPrintDuringSession(t *testing.T) {
	path := testwait.TempDir(t) + "/s"
	pid := startProgram(t, "installed", path)
	require.NoError(t, syscall.Kill(pid, syscall.SIGUSR2))
	var conn net.Conn
	clienttest.Poll(t, "a connection to "+path, func() (string, bool) {
		var err error
		conn, err = net.Dial("unix", path)
		return fmt.Sprint(err), err == nil
	})
	defer conn.Close()
	clienttest.Poll(t, "the thread of the session", func() (string, bool) {
		out := printed(t, strconv.Itoa(pid))
		return out, strings.Contains(out, "listens to\n  SIGUSR2(12)\n") &&
			strings.Contains(out, "1 other thread blocks all of them, as the session of a manhole does")
	})
}

func TestFindListening(t *testing.T) {
	all := ^oneshot.SignalSet(0) &^ neverBlocked
	const usr1, usr2 = oneshot.SignalSet(1 << 9), oneshot.SignalSet(1 << 11)
	for name, c := range map[string]struct {
		blocked []oneshot.SignalSet
		want    listening
	}{
		"none":                        {[]oneshot.SignalSet{0, 0}, listening{}},
		"one thread":                  {[]oneshot.SignalSet{0, all &^ usr2, 0}, listening{tid: 2, set: usr2}},
		"the main thread":             {[]oneshot.SignalSet{all &^ usr2, 0}, listening{tid: 1, set: usr2}},
		"no signal asked for":         {[]oneshot.SignalSet{0, all}, listening{tid: 2}},
		"everything, for a moment":    {[]oneshot.SignalSet{0, allBlockable}, listening{}},
		"a session":                   {[]oneshot.SignalSet{0, all, all &^ usr2, all}, listening{tid: 3, set: usr2, others: 2}},
		"two threads":                 {[]oneshot.SignalSet{0, all &^ usr1, all &^ usr2}, listening{tid: 2, set: usr1, others: 1, unsure: true}},
		"two with the same mask":      {[]oneshot.SignalSet{all, all}, listening{tid: 1, others: 1, unsure: true}},
		"few blocked":                 {[]oneshot.SignalSet{0, usr1 | usr2}, listening{}},
		"SIGTERM blocked":             {[]oneshot.SignalSet{0, all&^usr2 | 1<<14}, listening{}},
		"without preemption signals":  {[]oneshot.SignalSet{0, all&^usr2 | 1<<22}, listening{tid: 2, set: usr2}},
		"nearly everything asked for": {[]oneshot.SignalSet{0, 0x7 << 40}, listening{}},
	} {
		var threads []thread
		for i, blocked := range c.blocked {
			threads = append(threads, thread{i + 1, threadMasks{blocked: blocked}})
		}
		require.Equal(t, c.want, findListening(threads), name)
	}
}

func TestCompactNamesTheSmallerPart(t *testing.T) {
	var out strings.Builder
	w := &printer{w: &out}
	w.compact(" ", allBlockable)
	w.compact(" ", allBlockable&^3)
	w.compact(" ", 3)
	w.compact(" ", 0)
	require.Equal(t, " all\n all but SIGHUP(1) SIGINT(2)\n SIGHUP(1) SIGINT(2)\n none\n", out.String())
}

func TestThreadsWithTheSameMasksAreGrouped(t *testing.T) {
	var out strings.Builder
	s := &subject{threads: []thread{{tid: 1}, {tid: 2}}}
	for tid := 3; tid < 20; tid++ {
		s.threads = append(s.threads, thread{tid, threadMasks{blocked: 1}})
	}
	s.threads = append(s.threads, thread{20, threadMasks{pending: 2}})
	w := &printer{w: &out}
	w.threads(s)
	require.Equal(t, `20 threads, 18 different from the main thread:
17 threads: 3 4 5 6 7 8 9 10 11 12 13 14 and 5 more
  SigBlk 0000000000000001
    SIGHUP(1)
thread 20
  SigPnd 0000000000000002
    SIGINT(2)
`, out.String())
}
