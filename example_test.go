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
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
	"github.com/gomanhole/oneshot/internal/testwait"
)

// visit is what a client does: it waits for the socket, sends its commands, and
// reads the answers. What goes wrong is printed, and so fails the example.
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

// examplePath is a path of the example's own; a program needs none. The example
// must not take too long before it calls remove.
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

func ExampleManhole_Wait() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{
		OneshotOn:  syscall.SIGUSR2,
		NoReceiver: true, // main waits for signals anyway
		SocketPath: path,
		Logger:     quiet,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	go func() { // somebody looks inside, and then ends the program
		_ = syscall.Kill(os.Getpid(), syscall.SIGUSR2)
		visit(m.Path(), "stacks\nexit\n")
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()
	sig, err := m.Wait(context.Background(), os.Interrupt, syscall.SIGTERM)
	fmt.Println(sig, err)
	// Output: terminated <nil>
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

	c := make(chan os.Signal, 1)
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
	fmt.Println(m.Oneshot(context.Background())) // from a trigger of the program's own
	// Output: <nil>
}

func ExampleSameUserOrRoot() {
	// Root only, and not the process's own user.
	authorize := func(c oneshot.Cred) error {
		if c.UID != 0 {
			return fmt.Errorf("uid %d is not root", c.UID)
		}
		return oneshot.SameUserOrRoot(c)
	}
	fmt.Println(authorize(oneshot.Cred{UID: 0}))
	fmt.Println(authorize(oneshot.Cred{UID: 1000}))
	// Output:
	// <nil>
	// uid 1000 is not root
}

func ExampleInstalled() {
	fmt.Println(oneshot.Installed() == nil)
	// Output: true
}

func ExampleDump() {
	var text strings.Builder
	if err := oneshot.Dump(&text, oneshot.DumpOptions{Groups: -1, Match: regexp.MustCompile("ExampleDump")}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.Contains(text.String(), "1 goroutine (of "))
	// Output: true
}

func ExampleLevelCommand() {
	level := new(slog.LevelVar)
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	options := oneshot.Options{
		OneshotOn: syscall.SIGUSR2,
		Logger:    logger,
		Commands:  []oneshot.Command{oneshot.LevelCommand(level)},
	}
	fmt.Println(options.Commands[0].Name, options.Commands[0].Args)
	// Output: loglevel [LEVEL]
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
	// At the end of a program: nobody may enter any more, and whoever is inside may
	// finish, for a while.
	fmt.Println(m.Uninstall())
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(m.Drain(ctx))
	// Output:
	// <nil>
	// <nil>
}

// echo is a handler of the program's own.
type echo struct{}

func (echo) Serve(_ context.Context, s *oneshot.Session) error {
	for {
		line, err := s.ReadLine()
		if errors.Is(err, oneshot.ErrLineTooLong) {
			continue
		}
		if err != nil {
			return nil // the client has gone
		}
		fmt.Fprintf(s, "you said %q\n", line)
	}
}

func ExampleHandler() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet, Handler: echo{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	go func() { _ = m.Oneshot(context.Background()) }()
	fmt.Print(visit(m.Path(), "hello\n"))
	// Output: you said "hello"
}

func ExampleExec() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{
		SocketPath: path, Logger: quiet,
		Handler: oneshot.Exec{}, // no banner, no dump, no prompt
		Commands: []oneshot.Command{{
			Name: "flush", Summary: "empty the cache",
			Run: func(_ context.Context, s *oneshot.Session, _ []string) error {
				_, err := fmt.Fprintln(s, "flushed")
				return err
			},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	go func() { _ = m.Oneshot(context.Background()) }()
	fmt.Print(visit(m.Path(), "flush\nflash\n"))
	// Output:
	// flushed
	// no command "flash"; help lists them
}

// traced is a console that writes a line of its own before the first screen.
type traced struct{ oneshot.Console }

func (t traced) Serve(ctx context.Context, s *oneshot.Session) error {
	fmt.Fprintln(s, "ticket: INC-1234")
	return t.Console.Serve(ctx, s)
}

func ExampleConsole() {
	path, remove := examplePath()
	defer remove()
	m, err := oneshot.Install(oneshot.Options{SocketPath: path, Logger: quiet, Handler: traced{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	go func() { _ = m.Oneshot(context.Background()) }()
	answers := visit(m.Path(), "help\nexit\n")
	fmt.Println(strings.Contains(answers, "ticket: INC-1234"), strings.Contains(answers, "list the commands"))
	// Output: true true
}

// A program whose manhole cannot be installed logs that, and goes on with a nil
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

// A command of the program. It gives up when the client interrupts it or leaves.
func ExampleCommand() {
	path, remove := examplePath()
	defer remove()
	settled := make(chan int, 1)
	settled <- 3
	m, err := oneshot.Install(oneshot.Options{
		SocketPath: path, Logger: quiet, Handler: oneshot.Exec{},
		Commands: []oneshot.Command{{
			Name: "settle", Args: "ACCOUNT", Summary: "wait until an account is settled",
			Run: func(ctx context.Context, s *oneshot.Session, args []string) error {
				if len(args) != 1 {
					return errors.New("settle: give one account")
				}
				select {
				case n := <-settled:
					_, err := fmt.Fprintf(s, "%s is settled: %d bookings\n", args[0], n)
					return err
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			},
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	go func() { _ = m.Oneshot(context.Background()) }()
	fmt.Print(visit(m.Path(), "settle\nsettle 'A 7'\n"))
	// Output:
	// settle: give one account
	// A 7 is settled: 3 bookings
}
