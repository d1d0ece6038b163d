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

// The condition steps takes steps, mostly about signals. Each argument and then each line
// of the standard input is a step, such as install or "reset TERM,INT". The program
// reports each line that it has taken on standard error. The word quietly before a step
// prevents that report.
func init() {
	conditions["steps"] = func(args []string) {
		p := &stepper{finish: make(chan struct{})}
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
			report("taken: " + lines.Text())
		}
		forever()
	}
}

// stepper takes the steps.
type stepper struct {
	m       *oneshot.Manhole
	finish  chan struct{} // closed to end a graceful shutdown
	churned chan struct{} // closed to end churn
	churn   sync.WaitGroup
}

// take takes a step.
func (p *stepper) take(step string) {
	name, arg, _ := strings.Cut(step, " ")
	switch name {
	case "install":
		p.m = install()
	case "uninstall":
		must(0, p.m.Uninstall())
	case "churn": // install and uninstall again and again, until settle
		p.churned = make(chan struct{})
		p.churn.Go(p.installAndUninstall)
	case "settle":
		close(p.churned)
		p.churn.Wait()

	case "reset": // all signals without an argument
		signal.Reset(signals(arg)...)
	case "ignore":
		signal.Ignore(signals(arg)...)
	case "notify": // all signals without an argument
		c := make(chan os.Signal, 8)
		signal.Notify(c, signals(arg)...)
		go reportSignals(c)
	case "exit": // exit on a signal, as most programs do
		c := make(chan os.Signal, 1)
		signal.Notify(c, signals(arg)...)
		go func() {
			<-c
			os.Exit(3)
		}()
	case "graceful": // shut down on a signal, until finish
		ctx, stop := signal.NotifyContext(context.Background(), signals(arg)...)
		go func() {
			<-ctx.Done()
			stop()
			report("shutting down")
			<-p.finish
			_ = p.m.Uninstall()
			os.Exit(0)
		}()
	case "finish":
		close(p.finish)

	case "children": // in the same process group
		for range must(strconv.Atoi(arg)) {
			child := startChild("steps", "install")
			report(fmt.Sprintf("child %d.", child.Process.Pid))
		}
	case "log": // log JSON
		w := map[string]*os.File{"stdout": os.Stdout, "stderr": os.Stderr}[arg]
		slog.SetDefault(slog.New(slog.NewJSONHandler(w, nil)))
	case "write":
		_, err := fmt.Println(arg)
		report(fmt.Sprint(err))
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

func (p *stepper) installAndUninstall() {
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

// reportSignals reports each signal that comes, but not SIGURG, which the runtime sends to
// itself.
func reportSignals(c <-chan os.Signal) {
	for sig := range c {
		if sig != syscall.SIGURG {
			report("got " + sig.String())
		}
	}
}

// signals parses a list such as "TERM,INT".
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

// startChild starts this program in another condition and waits until it is ready. The
// child ends with this program.
func startChild(condition ...string) *exec.Cmd {
	runtime.LockOSThread() // Pdeathsig comes when this thread ends
	child := exec.Command(os.Args[0], condition...)
	child.Stderr = os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // TERM, so that the child leaves no socket
	out := must(child.StdoutPipe())
	must(0, child.Start())
	must(0, out.(*os.File).SetReadDeadline(time.Now().Add(patience)))
	must(io.ReadFull(out, make([]byte, len("ready\n"))))
	return child
}

// report writes a line to standard error.
func report(text string) { fmt.Fprintln(os.Stderr, text) }

// forever never returns. The runtime does not take it for a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}
