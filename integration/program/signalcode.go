//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// The condition told is a program that does with signals what it is told: each
// argument, and then each line of its standard input, is a step, such as install
// or "reset TERM,INT". It tells on its standard error which of the lines it has
// taken, but for one that begins with quietly.
func init() {
	conditions["told"] = func(args []string) {
		p := &told{finish: make(chan struct{})}
		for _, step := range args {
			p.take(step)
		}
		ready()
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			if step, quietly := strings.CutPrefix(lines.Text(), "quietly "); quietly {
				p.take(step)
				continue
			}
			p.take(lines.Text())
			tell("taken: " + lines.Text())
		}
		forever()
	}
}

type told struct {
	m       *oneshot.Manhole
	finish  chan struct{} // ends what graceful has begun
	churned chan struct{} // closed to end the churn
	churn   sync.WaitGroup
}

func (p *told) take(step string) {
	name, arg, _ := strings.Cut(step, " ")
	switch name {
	case "install":
		p.m = install()
	case "uninstall":
		must(0, p.m.Uninstall())
	case "churn": // installs and uninstalls
		p.churned = make(chan struct{})
		p.churn.Go(p.installAndUninstall)
	case "settle":
		close(p.churned)
		p.churn.Wait()

	case "reset": // all of them without an argument
		signal.Reset(signals(arg)...)
	case "ignore":
		signal.Ignore(signals(arg)...)
	case "notify": // all of them without an argument
		c := make(chan os.Signal, 8)
		signal.Notify(c, signals(arg)...)
		go report(c)
	case "exit": // as most programs do
		c := make(chan os.Signal, 1)
		signal.Notify(c, signals(arg)...)
		go func() {
			<-c
			os.Exit(3)
		}()
	case "graceful": // a shutdown that takes its time
		ctx, stop := signal.NotifyContext(context.Background(), signals(arg)...)
		go func() {
			<-ctx.Done()
			stop()
			tell("shutting down")
			<-p.finish
			_ = p.m.Uninstall()
			os.Exit(0)
		}()
	case "finish":
		close(p.finish)

	case "children": // in the same process group
		for range must(strconv.Atoi(arg)) {
			child := startChild("told", "install")
			tell(fmt.Sprintf("child %d.", child.Process.Pid))
		}
	case "log": // as JSON
		w := map[string]*os.File{"stdout": os.Stdout, "stderr": os.Stderr}[arg]
		slog.SetDefault(slog.New(slog.NewJSONHandler(w, nil)))
	case "write":
		_, err := fmt.Println(arg)
		tell(fmt.Sprint(err))
	case "dup":
		var from, to int
		must(fmt.Sscan(arg, &from, &to))
		must(0, syscall.Dup3(from, to, 0))
	case "close":
		must(0, syscall.Close(must(strconv.Atoi(arg))))
	default:
		must(0, fmt.Errorf("no step %q", step))
	}
}

func (p *told) installAndUninstall() {
	timeout := time.After(2 * patience)
	for {
		select {
		case <-p.churned:
			return
		case <-timeout:
			fail(fmt.Errorf("timeout after %v, waited for: the step settle", 2*patience))
		default:
		}
		must(0, p.m.Uninstall())
		p.m = install()
	}
}

// report tells which signals come, but for those of the runtime to itself.
func report(c <-chan os.Signal) {
	for sig := range c {
		if sig != syscall.SIGURG {
			tell("got " + sig.String())
		}
	}
}

func signals(arg string) []os.Signal {
	if arg == "" {
		return nil
	}
	var sigs []os.Signal
	for name := range strings.SplitSeq(arg, ",") {
		sigs = append(sigs, must(oneshot.ParseSignal(name)))
	}
	return sigs
}

// startChild starts this program in another condition and waits until it is
// ready. The child does not outlive the program.
func startChild(condition ...string) *exec.Cmd {
	runtime.LockOSThread() // whose end is that of the child
	child := exec.Command(os.Args[0], condition...)
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // which leaves no file
	out := must(child.StdoutPipe())
	must(0, child.Start())
	must(0, out.(*os.File).SetReadDeadline(time.Now().Add(patience)))
	must(io.ReadFull(out, make([]byte, len("ready\n"))))
	return child
}

func tell(text string) { fmt.Fprintln(os.Stderr, text) }

// forever does not end, nor is it a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}
