//go:build linux || darwin || freebsd

package oneshot_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// visit is a client: it waits for the socket, sends its commands, and reads the answers.
// It prints every error, so that the example fails.
func visit(path, commands string) string {
	deadline := time.Now().Add(testwait.Patience)
	conn, err := net.Dial("unix", path)
	for err != nil {
		if time.Now().After(deadline) {
			fmt.Println("nobody answers after", testwait.Patience, err)
			return ""
		}
		time.Sleep(time.Millisecond)
		conn, err = net.Dial("unix", path)
	}
	defer conn.Close()
	_ = conn.SetDeadline(deadline)
	fmt.Fprint(conn, commands)
	_ = conn.(*net.UnixConn).CloseWrite()
	answers, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		fmt.Printf("the session does not end after %q\n", answers)
	}
	return string(answers)
}

// examplePath returns a path for one example; a program needs no such function. The
// example must be short, because the socket must be gone when remove is called.
func examplePath() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "oneshot")
	if err != nil {
		panic(err)
	}
	watchdog := time.AfterFunc(2*testwait.Patience, func() { panic("an example with a manhole does not end") })
	return filepath.Join(dir, "manhole-%p"), func() {
		watchdog.Stop()
		os.RemoveAll(dir)
	}
}

var quiet = slog.New(slog.DiscardHandler)

func ExampleInstall() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: path, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2) // as kill -USR2 does
	answers := visit(m.Path(), "help\nexit\n")
	fmt.Println(strings.Contains(answers, "show what the goroutines are doing"))
	// Output: true
}

// A service that runs its parts in a group, as errgroup does. main waits in Wait, so no
// goroutine of the package exists. The shutdown can be inspected too: the door opens after
// Wait has returned, and ShutdownReport writes by itself where a shutdown hangs.
func ExampleManhole_Wait() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{
		OneshotOn:      syscall.SIGUSR2,
		NoReceiver:     true, // main waits for signals anyway
		ShutdownReport: 20 * time.Second,
		SocketPath:     path,
		Logger:         quiet,
	})
	if err != nil {
		fmt.Println(err) // and go on without one
	}
	defer m.Uninstall()

	ctx, stop := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { <-ctx.Done() }) // a server, a consumer, ...

	looked := make(chan struct{})
	go func() { // somebody looks inside, ends the program, and looks at its shutdown
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2)
		visit(m.Path(), "stacks\nexit\n")
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		<-ctx.Done()
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2)
		fmt.Println("during the shutdown:", strings.Contains(visit(m.Path(), "exit\n"), "help lists the commands"))
		close(looked)
	}()
	sig, err := m.Wait(ctx, os.Interrupt, syscall.SIGTERM)
	fmt.Println(sig, err)
	stop()
	group.Wait()
	<-looked
	// Output:
	// terminated <nil>
	// during the shutdown: true
}

// A shutdown hangs. The log says where, and the door can still be opened, although Wait
// has returned.
func ExampleOptions_shutdownReport() {
	path, remove := examplePath()
	defer remove()
	var log testwait.Buffer
	m, err := oneshot.Install(oneshot.Options{
		OneshotOn:      syscall.SIGUSR2,
		NoReceiver:     true,
		ShutdownReport: 50 * time.Millisecond, // in a program rather 20 * time.Second
		SocketPath:     path,
		Logger:         slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		testwait.Until(func() bool { return strings.Contains(log.String(), "by identical stacks") }, "the report")
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2)
		fmt.Println("the door opens:", strings.Contains(visit(m.Path(), "exit\n"), "help lists the commands"))
	}()
	sig, err := m.Wait(context.Background(), syscall.SIGTERM)
	<-ended // the shutdown that hangs
	fmt.Println(sig, err)
	fmt.Println(regexp.MustCompile(`SIGTERM came .* ago, and the process is still there`).MatchString(log.String()))
	// Output:
	// the door opens: true
	// terminated <nil>
	// true
}

func ExampleManhole_Handle() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{
		OneshotOn:  syscall.SIGUSR2,
		NoReceiver: true, // the program has a signal loop of its own
		SocketPath: path,
		Logger:     quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	c := make(chan os.Signal, 8) // for several signals: one without room is dropped
	signal.Notify(c, append(m.Signals(), syscall.SIGUSR1)...)
	defer signal.Stop(c)
	go func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2)
		visit(m.Path(), "exit\n")
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	}()
	for sig := range c {
		if m.Handle(sig) {
			continue
		}
		fmt.Println("for the program:", sig)
		break
	}
	// Output: for the program: user defined signal 1
}

func ExampleManhole_Oneshot() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	go visit(m.Path(), "exit\n")
	fmt.Println(m.Oneshot(context.Background())) // call it wherever the program's own trigger is handled
	// Output: <nil>
}

func ExampleInstalled() {
	fmt.Println(oneshot.Installed() == nil)
	// Output: true
}

func ExampleManhole_Activate() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	if err := m.Activate(); err != nil { // one client after another, until Deactivate
		fmt.Println(err)
		return
	}
	for range 2 {
		fmt.Println(strings.Contains(visit(m.Path(), "gc\nexit\n"), "collected in"))
	}
	m.Deactivate()
	_, err = os.Lstat(m.Path())
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output:
	// true
	// true
	// true
}

func ExampleManhole_Drain() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	// At the end of a program, no new client may enter, and running sessions have some time
	// to finish.
	fmt.Println(m.Uninstall())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(m.Drain(ctx))
	// Output:
	// <nil>
	// <nil>
}

// If a manhole cannot be installed, the program logs the error and goes on with a nil
// *Manhole.
func ExampleManhole() {
	m, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: "/no/such/directory/manhole"})
	if err != nil {
		fmt.Println("no manhole") // slog.Error("no manhole", "err", err)
	}
	defer m.Uninstall()

	fmt.Printf("%q %v\n", m.Path(), m.Handle(syscall.SIGUSR2))
	// Output:
	// no manhole
	// "" false
}

func ExampleManhole_Uninstall() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Uninstall())
	fmt.Println(errors.Is(m.Uninstall(), oneshot.ErrNotInstalled))
	// Output:
	// <nil>
	// true
}

func ExampleManhole_Deactivate() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	_ = m.Activate()
	visit(m.Path(), "exit\n")
	m.Deactivate()
	_, err = os.Lstat(m.Path())
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output: true
}

// A part of the program has installed a manhole already. Reinstall replaces it: its window
// closes, and its session may finish.
func ExampleOptions_reinstall() {
	path, remove := examplePath()
	defer remove()
	first, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet})
	fmt.Println(errors.Is(err, oneshot.ErrAlreadyInstalled))

	second, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet, Reinstall: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Uninstall()
	fmt.Println(oneshot.Installed() == second, first.Activate() != nil)
	// Output:
	// true
	// true true
}

func ExampleParseSignalSet() {
	set, err := oneshot.ParseSignalSet("0x4003") // as ps -o caught prints it
	fmt.Println(set, err)
	// Output: SIGHUP,SIGINT,SIGTERM <nil>
}

func ExampleParseSignal() {
	for _, text := range []string{"USR2", "sigterm", "15"} {
		sig, err := oneshot.ParseSignal(text)
		fmt.Println(sig, err)
	}
	// Output:
	// user defined signal 2 <nil>
	// terminated <nil>
	// terminated <nil>
}

func ExampleSignalSet_String() {
	set := oneshot.SignalSet(0x4003) // as SigBlk in /proc/PID/status
	fmt.Println(set)
	fmt.Println(oneshot.SignalSet(0))
	// Output:
	// SIGHUP,SIGINT,SIGTERM
	// none
}
