//go:build linux || darwin || freebsd

package oneshot_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gomanhole/oneshot"
)

// A program shows in its own way what a command says.
func ExampleRunCommand() {
	var answer strings.Builder
	_, err := oneshot.RunCommand(context.Background(), nil, "setgc", &answer)
	fmt.Println(strings.HasPrefix(answer.String(), "GOGC is "), err)
	// Output: true <nil>
}

func ExampleSameUserOrRoot() {
	// Only root may enter, not even the process's own user.
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

// echo is a program's own handler.
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

// traced is a console that first writes a line of its own.
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

// A command of the program. It stops when the client interrupts it or disconnects.
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

// Values that the commands locals and print show. A function that locks and copies is best:
// what it returns is shown whole.
func ExampleOptions_locals() {
	path, remove := examplePath()
	defer remove()
	var mu sync.Mutex
	users := map[int]string{1: "ada", 2: "grace"}
	m, err := oneshot.Install(oneshot.Options{
		SocketPath: path, Logger: quiet, Handler: oneshot.Exec{},
		Locals: map[string]any{
			"users": func() any {
				mu.Lock()
				defer mu.Unlock()
				return maps.Clone(users)
			},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Uninstall()

	go func() { _ = m.Oneshot(context.Background()) }()
	fmt.Print(visit(m.Path(), "print users\n"))
	// Output:
	// map[int]string{
	//   1: "ada"
	//   2: "grace"
	// }
}

// Members of a group may enter too. The kernel says which group the client has.
func ExampleOptions_authorize() {
	const operators = 700
	options := oneshot.Options{
		OneshotOn: syscall.SIGUSR2,
		Authorize: func(c oneshot.Cred) error {
			if c.GID == operators {
				return nil
			}
			return oneshot.SameUserOrRoot(c)
		},
	}
	fmt.Println(options.Authorize(oneshot.Cred{PID: 4321, UID: 1234, GID: 700}))
	// Output: <nil>
}

// A test that hangs ends with "panic: test timed out", and the stacks of all goroutines in
// no order. This TestMain writes before that what stands out, and the stacks in groups.
func ExampleDump_testMain() {
	TestMain := func(m *testing.M) {
		flag.Parse() // for -timeout
		timeout := flag.Lookup("test.timeout").Value.(flag.Getter).Get().(time.Duration)
		if timeout > 20*time.Second { // 0: there is none
			time.AfterFunc(timeout-10*time.Second, func() {
				_ = oneshot.Dump(os.Stderr, oneshot.DumpOptions{})
			})
		}
		os.Exit(m.Run())
	}
	_ = TestMain
}
