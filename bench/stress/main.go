//go:build linux

// Stress starts programs with a manhole and gives them no rest, until a time is
// over:
//
//	cd bench && go run ./stress -for 10m
//	cd bench && go run -race ./stress -for 10m
//
// The programs are this binary again, in processes of their own, of several
// kinds: those that handle no signal, and those that do in each of the ways
// there are; those that compute, allocate, start children, execute themselves
// in place, or install and uninstall their manhole from many goroutines at once
// (kinds.go has them all). They are sent real signals at random moments: USR2
// singly and in bursts of thousands, TSTP and CONT, and in the end TERM, INT, HUP,
// QUIT or KILL. Real clients enter meanwhile, who work, stop commands, send
// garbage, floods and lines without end, read slowly or not at all, go in the
// midst of everything, or are of another user (sessions.go, stranger.go; for
// that it must be run by root).
//
// It prints a line every few seconds and a table in the end, or after Ctrl-C. The
// second part of the table must be zero, or it exits with status 1: what is left
// of goroutines, threads and descriptors in programs that lived on, exit
// statuses that are not those the program would have had without a manhole,
// answers that have not the form of their command, files left behind, signals
// that opened no window, waits of more than half a minute, panics, and data
// races. Each failure is told with the kind of its program, what was done to it
// last, and the end of its standard error; the file of that stays.
//
// A seed repeats what is done and in which order within each program. When it
// happens is up to the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stress is one run of this command.
type stress struct {
	seed    uint64
	workers int
	kinds   string
	choice  []*kind // the kinds, by name
	dir     string
	binary  string // this one, where every user may run it
	tally   *tally
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "program":
			programMain(os.Args[2:])
			return
		case "stranger":
			strangerMain(os.Args[2])
			return
		}
	}
	os.Exit(run())
}

func run() int {
	s := &stress{tally: newTally()}
	length := flag.Duration("for", time.Minute, "how long to go on, such as 30s, 10m or 2h; what has begun then is still ended and checked")
	every := flag.Duration("every", 5*time.Second, "the time between two lines of progress, such as 5s or 1m")
	flag.Uint64Var(&s.seed, "seed", 0, "the number that decides what is done, to repeat a run; 0: another every time")
	flag.IntVar(&s.workers, "workers", 2*runtime.NumCPU(), "the number of programs at a time")
	flag.StringVar(&s.kinds, "kinds", "", "the kinds of programs, with commas between; empty: all, which are\n"+strings.Join(kindNames(), ", "))
	flag.Parse()
	if flag.NArg() > 0 || s.workers < 1 {
		fmt.Fprintln(os.Stderr, "stress takes only flags, and at least one worker; see stress -h")
		return 2
	}
	if s.seed == 0 {
		s.seed = rand.Uint64()
	}
	if err := s.choose(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := s.settle(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.work(*length, *every)
}

// choose finds the kinds.
func (s *stress) choose() error {
	chosen := kindNames()
	if s.kinds != "" {
		chosen = strings.Split(s.kinds, ",")
	} else {
		s.kinds = strings.Join(chosen, ",")
	}
	for _, name := range chosen {
		k := kindNamed(strings.TrimSpace(name))
		if k == nil {
			return fmt.Errorf("stress: no kind of program is %q; they are %s", name, strings.Join(kindNames(), ", "))
		}
		s.choice = append(s.choice, k)
	}
	return nil
}

// settle makes the directory that everything is in, with a copy of this binary:
// go run's own is where no other user can run it.
func (s *stress) settle() error {
	var err error
	if s.dir, err = os.MkdirTemp("", "oneshot-stress-"); err != nil {
		return err
	}
	s.binary = filepath.Join(s.dir, "stress")
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer self.Close()
	to, err := os.OpenFile(s.binary, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, self)
	return errors.Join(err, to.Close(), os.Chmod(s.binary, 0o755), os.Chmod(s.dir, 0o755)) // whatever the umask
}

// work stresses, and returns the status of the command.
func (s *stress) work(length, every time.Duration) int {
	fmt.Printf("seed %d, %d workers, in %s\n", s.seed, s.workers, s.dir)
	if os.Geteuid() != 0 {
		fmt.Println("not run by root: without clients and programs of other users")
	}
	ctx, cancel := context.WithTimeout(context.Background(), length)
	defer cancel()
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var workers sync.WaitGroup
		for i := range s.workers {
			workers.Go(func() { s.worker(ctx, i) })
		}
		workers.Wait()
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	ended := ctx.Done()
	for {
		select {
		case <-tick.C:
			fmt.Println(s.tally.line())
			continue
		case <-ended: // what has begun is ended still; a second Ctrl-C ends it now
			stop()
			ended = nil
			continue
		case <-done:
		}
		break
	}
	s.tally.table(os.Stdout)
	if n := s.tally.failures(); n > 0 {
		fmt.Printf("\n%d failures; what their programs wrote is in %s\n", n, s.dir)
		return 1
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
