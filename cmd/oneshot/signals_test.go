//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
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
	"github.com/gomanhole/oneshot/internal/testwait"
)

func TestSignalsOfAMask(t *testing.T) {
	const want = "0x000000004b813efb, in decimal 1266761467: 18 signals\n" +
		"  SIGHUP(1) SIGINT(2) SIGILL(4) SIGTRAP(5) SIGABRT(6) SIGBUS(7) SIGFPE(8) SIGUSR1(10) SIGSEGV(11)\n" +
		"  SIGUSR2(12) SIGPIPE(13) SIGALRM(14) SIGCHLD(17) SIGXCPU(24) SIGXFSZ(25) SIGVTALRM(26) SIGWINCH(28)\n" +
		"  SIGSYS(31)\n"
	for _, arg := range []string{"0x4b813efb", "4b813efb", "000000004b813efb", "0x000000004B813EFB"} {
		out, _ := call(t, runSignals, arg)
		require.Equal(t, want, out, arg)
	}
	out, _ := call(t, runSignals, "1266761467")
	require.Equal(t, "1266761467 was taken as a mask: it is not the pid of a living process\n"+want, out)
	out, _ = call(t, runSignals, "USR2,12,RTMAX,32")
	require.Equal(t, "0x8000000080000800, in decimal 9223372039002261504: 3 signals\n  SIGUSR2(12) SIG32(32) SIGRTMAX(64)\n", out)
	out, _ = call(t, runSignals, "none")
	require.Equal(t, "0x0000000000000000, in decimal 0: 0 signals\n  none\n", out)
}

func TestSignalsComparesMasks(t *testing.T) {
	out, _ := call(t, runSignals, "HUP,USR1", "USR1,TERM")
	require.Equal(t, `first:  0x0000000000000201, in decimal 513
second: 0x0000000000004200, in decimal 16896
only 0x0000000000000201: 0x0000000000000001
  SIGHUP(1)
only 0x0000000000004200: 0x0000000000004000
  SIGTERM(15)
both: 0x0000000000000200
  SIGUSR1(10)
`, out)
	out, _ = call(t, runSignals, "HUP", "0x1")
	require.Contains(t, out, "the same in both, 0x0000000000000001\n  SIGHUP(1)\n")
}

func TestSignalsUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"1", "2", "3"}, {"x"}, {"0x"}, {"0x10000000000000000"}, {"USR3"}, {""}, {"-x"}} {
		var usage usageError
		require.ErrorAs(t, runSignals(args, io.Discard, io.Discard), &usage, args)
		require.True(t, strings.HasPrefix(usage.text, "signals: "), usage.text)
	}
	out, _ := call(t, runSignals, "-h")
	require.Equal(t, signalsHelp, out)
}

// ignoring starts sleep as nohup does.
func ignoring(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sh", "-c", `trap "" HUP; exec sleep 1000`)
	pid := startUntilEnd(t, cmd)
	poll(t, "sleep, in place of sh", func() (string, bool) {
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return fmt.Sprintf("%q, %v", comm, err), err == nil && string(comm) == "sleep\n"
	})
	return pid
}

func TestSignalsOfAProcess(t *testing.T) {
	pid := ignoring(t)
	out, _ := call(t, runSignals, strconv.Itoa(pid))
	require.Contains(t, out, fmt.Sprintf("%d was taken as a pid; for the mask write 0x%x\nprocess %d (sleep), not a Go program\n", pid, pid, pid))
	require.Contains(t, out, "SigIgn 0000000000000001  ignored\n  SIGHUP(1)\n")
	for _, row := range signalRows {
		require.Contains(t, out, "\n"+row.name+" ")
	}
	require.Contains(t, out, "\n1 thread\n")
	require.NotContains(t, out, "listens")

	out, _ = call(t, runSignals, strconv.Itoa(pid), "0x3")
	require.Contains(t, out, fmt.Sprintf("SigIgn, ignored\n  only process %d: 0x0000000000000000\n    none\n  only 0x0000000000000003: 0x0000000000000002\n"+
		"    SIGINT(2)\n  both: 0x0000000000000001\n    SIGHUP(1)\n", pid))
}

func TestSignalsOfAGoProgram(t *testing.T) {
	pid := startProgram(t, "listening")
	out, _ := call(t, runSignals, strconv.Itoa(pid))
	require.Contains(t, out, "listens to\n  SIGUSR1(10) SIGWINCH(28)\n")
	require.Contains(t, out, "not known: whether it listens to SIGHUP,SIGINT,SIGQUIT,SIGTERM as well")
	require.Contains(t, out, "SigCgt says little here")

	require.Regexp(t, `SigCgt [0-9a-f]{16}  caught\n  all but SIGCONT\(18\) `, out)

	other := startProgram(t, "installed", pathEnv+"="+testwait.TempDir(t)+"/s")
	out, _ = call(t, runSignals, strconv.Itoa(pid), strconv.Itoa(other))
	require.Contains(t, out, fmt.Sprintf("only process %d: 0x0000000008000200\n    SIGUSR1(10) SIGWINCH(28)\n  only process %d: 0x0000000000000800\n    SIGUSR2(12)\n", pid, other))

	silent := startProgram(t, "plain")
	out, _ = call(t, runSignals, strconv.Itoa(silent))
	require.Contains(t, out, "listens to: not known\n")
}

// TestSignalsWhileSomeCome: a thread that is in a signal handler blocks all.
func TestSignalsWhileSomeCome(t *testing.T) {
	pid := startProgram(t, "listening")
	threads, err := readSignalThreads(pid)
	require.NoError(t, err)
	tid := findListening(threads).tid
	require.NotZero(t, tid)
	var over atomic.Bool
	var sender sync.WaitGroup
	sender.Go(func() {
		for !over.Load() {
			_ = unix.Tgkill(pid, tid, syscall.SIGUSR1) // it lives until the test ends
			runtime.Gosched()
		}
	})
	defer sender.Wait()
	defer over.Store(true)
	for range 100 {
		out, _ := call(t, runSignals, strconv.Itoa(pid))
		require.Contains(t, out, "listens to\n  SIGUSR1(10) SIGWINCH(28)\n")
	}
}

// TestSignalsDuringASession is with a thread that looks like the runtime's.
func TestSignalsDuringASession(t *testing.T) {
	path := testwait.TempDir(t) + "/s"
	pid := startProgram(t, "installed", pathEnv+"="+path)
	require.NoError(t, syscall.Kill(pid, syscall.SIGUSR2))
	var conn net.Conn
	poll(t, "a connection to "+path, func() (string, bool) {
		var err error
		conn, err = net.Dial("unix", path)
		return fmt.Sprint(err), err == nil
	})
	defer conn.Close()
	poll(t, "the thread of the session", func() (string, bool) {
		out, _ := call(t, runSignals, strconv.Itoa(pid))
		return out, strings.Contains(out, "listens to\n  SIGUSR2(12)\n") &&
			strings.Contains(out, "1 other thread blocks all of them, as the session of a manhole does")
	})
}

func TestTheRuntimesThread(t *testing.T) {
	const all = ^oneshot.SignalSet(0) &^ neverBlocked
	const usr1, usr2 = oneshot.SignalSet(1 << 9), oneshot.SignalSet(1 << 11)
	for name, c := range map[string]struct {
		blocked []oneshot.SignalSet
		want    listening
	}{
		"no thread":                   {[]oneshot.SignalSet{0, 0}, listening{}},
		"one":                         {[]oneshot.SignalSet{0, all &^ usr2, 0}, listening{tid: 2, set: usr2}},
		"the main thread":             {[]oneshot.SignalSet{all &^ usr2, 0}, listening{tid: 1, set: usr2}},
		"nothing":                     {[]oneshot.SignalSet{0, all}, listening{tid: 2}},
		"everything, for a moment":    {[]oneshot.SignalSet{0, everySignal}, listening{}},
		"a session":                   {[]oneshot.SignalSet{0, all, all &^ usr2, all}, listening{tid: 3, set: usr2, others: 2}},
		"two":                         {[]oneshot.SignalSet{0, all &^ usr1, all &^ usr2}, listening{tid: 2, set: usr1, others: 1, unsure: true}},
		"two alike":                   {[]oneshot.SignalSet{all, all}, listening{tid: 1, others: 1, unsure: true}},
		"few blocked":                 {[]oneshot.SignalSet{0, usr1 | usr2}, listening{}},
		"TERM blocked by somebody":    {[]oneshot.SignalSet{0, all&^usr2 | 1<<14}, listening{}},
		"without preemption signals":  {[]oneshot.SignalSet{0, all&^usr2 | 1<<22}, listening{tid: 2, set: usr2}},
		"nearly everything asked for": {[]oneshot.SignalSet{0, 0x7 << 40}, listening{}},
	} {
		var threads []signalThread
		for i, blocked := range c.blocked {
			threads = append(threads, signalThread{i + 1, threadMasks{blocked: blocked}})
		}
		require.Equal(t, c.want, findListening(threads), name)
	}
}

func TestMostOfTheSignalsAreNamedByTheRest(t *testing.T) {
	var out strings.Builder
	w := &signalWriter{w: &out}
	w.compact(" ", everySignal)
	w.compact(" ", everySignal&^3)
	w.compact(" ", 3)
	w.compact(" ", 0)
	require.Equal(t, " all\n all but SIGHUP(1) SIGINT(2)\n SIGHUP(1) SIGINT(2)\n none\n", out.String())
}

func TestThreadsAreGrouped(t *testing.T) {
	var out strings.Builder
	s := &signalSubject{threads: []signalThread{{tid: 1}, {tid: 2}}}
	for tid := 3; tid < 20; tid++ {
		s.threads = append(s.threads, signalThread{tid, threadMasks{blocked: 1}})
	}
	s.threads = append(s.threads, signalThread{20, threadMasks{pending: 2}})
	w := &signalWriter{w: &out}
	w.showThreads(s)
	require.Equal(t, `20 threads, 18 not like the main thread:
17 threads: 3 4 5 6 7 8 9 10 11 12 13 14 and 5 more
  SigBlk 0000000000000001
    SIGHUP(1)
thread 20
  SigPnd 0000000000000002
    SIGINT(2)
`, out.String())
}
