//go:build linux

package bench

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
	"golang.org/x/sys/unix"
)

// TestMain also runs the programs that the benchmarks measure.
func TestMain(m *testing.M) {
	switch os.Getenv("BENCH_PROGRAM") {
	case "plain":
		plain(os.Args[1])
	case "oneshot":
		withManhole(os.Args[1])
	case "dump":
		dumpProgram(os.Args[1], os.Args[2])
	case "outside":
		outsideProgram(os.Args[1])
	case "replica":
		replicaProgram()
	case "growing":
		growingProgram()
	case "bridge":
		bridgeProgram()
	case "load":
		loadProgram(os.Args[1], os.Args[2])
	}
	os.Exit(m.Run())
}

// plain is the simplest Go program that opens a socket on a signal.
func plain(path string) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR2)
	fmt.Println("ready")
	for range c {
		ln, err := net.Listen("unix", path)
		check(err)
		conn, err := ln.Accept()
		check(err)
		_, err = conn.Write([]byte("x"))
		check(err)
		conn.Close()
		ln.Close()
	}
}

func withManhole(path string) {
	_, err := oneshot.Install(oneshot.Options{
		OneshotOn:  syscall.SIGUSR2,
		SocketPath: path,
		Logger:     slog.New(slog.DiscardHandler),
	})
	check(err)
	fmt.Println("ready")
	select {}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startProgram starts one of the programs. The program runs until the benchmark
// ends.
func startProgram(b *testing.B, name, command, path string) *os.Process {
	b.Helper()
	cmd := exec.Command(command, path)
	cmd.Env = append(os.Environ(), "BENCH_PROGRAM="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	testwait.Deadline(b, out)
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed
	})
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		b.Fatalf("%s did not start: %v", name, err)
	}
	return cmd.Process
}

// BenchmarkOpen measures the time from kill to the first byte that a client reads.
// The client polls connect as fast as it can. The three programs take turns:
//
//	go test -run '^$' -bench Open -benchtime 2000x
//
// It reports the medians, the ratio of our median to that of the simplest Go
// program, and how many connects were refused because the path had no listener.
func BenchmarkOpen(b *testing.B) {
	type contender struct {
		name, path string
		proc       *os.Process
		times      []time.Duration
		refused    int
	}
	var all []*contender
	start := func(name, command string) {
		path := filepath.Join(b.TempDir(), "s")
		all = append(all, &contender{name: name, path: path, proc: startProgram(b, name, command, path)})
	}
	if gcc, err := exec.LookPath("gcc"); err != nil {
		b.Log("no gcc: the C floor is left out")
	} else {
		floor := filepath.Join(b.TempDir(), "floor")
		if out, err := testwait.Command(b, gcc, "-O2", "-o", floor, "testdata/floor.c").CombinedOutput(); err != nil {
			b.Fatalf("gcc: %v\n%s", err, out)
		}
		start("C", floor)
	}
	start("plain", os.Args[0])
	start("oneshot", os.Args[0])

	runtime.LockOSThread()
	for b.Loop() {
		for _, c := range all {
			d, refused, err := open(c.proc.Pid, c.path)
			if err != nil {
				b.Fatalf("%s: %v", c.name, err)
			}
			c.times = append(c.times, d)
			c.refused += refused
		}
	}
	median := make(map[string]float64)
	for _, c := range all {
		slices.Sort(c.times)
		median[c.name] = float64(c.times[len(c.times)/2].Nanoseconds()) / 1e3
		b.ReportMetric(median[c.name], c.name+"-µs")
		b.ReportMetric(float64(c.refused), c.name+"-refused")
	}
	b.ReportMetric(median["oneshot"]/median["plain"], "oneshot/plain")
	b.ReportMetric(0, "ns/op") // the total with the pauses means nothing
}

// openTime is the longest time that a program may take for one window.
const openTime = 10 * time.Second

// open sends the signal and polls until it has read a byte. It uses raw system
// calls, so that Go's scheduler does not delay the client.
func open(pid int, path string) (time.Duration, int, error) {
	// The program of the last round may still be busy with the end of its session.
	time.Sleep(2 * time.Millisecond)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	defer unix.Close(fd)
	timeout := unix.NsecToTimeval(openTime.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil { // for each read
		return 0, 0, err
	}
	addr := &unix.SockaddrUnix{Name: path}
	refused := 0
	began := time.Now()
	if err := unix.Kill(pid, unix.SIGUSR2); err != nil {
		return 0, 0, err
	}
	for {
		err := unix.Connect(fd, addr)
		if err == nil {
			break
		}
		switch err {
		case unix.ECONNREFUSED:
			refused++
		case unix.ENOENT:
		default:
			return 0, 0, fmt.Errorf("connect: %w", err)
		}
		if time.Since(began) > openTime {
			return 0, 0, fmt.Errorf("no socket within %v: %w", openTime, err)
		}
	}
	var first [1]byte
	if n, err := unix.Read(fd, first[:]); n != 1 {
		return 0, 0, fmt.Errorf("read %d bytes: %v", n, err)
	}
	d := time.Since(began)
	// Read to the end, so that the session ends in order.
	buf := make([]byte, 64<<10)
	_ = unix.Shutdown(fd, unix.SHUT_WR)
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EAGAIN || time.Since(began) > 2*openTime {
			return 0, 0, fmt.Errorf("the session does not end: read %d bytes: %v", n, err)
		}
		if n <= 0 || err != nil {
			return d, refused, nil
		}
	}
}
