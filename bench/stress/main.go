//go:build linux

// Stress starts programs with a manhole and puts them under stress for a given time:
//
//	cd bench && go run ./stress -for 10m
//	cd bench && go run -race ./stress -for 10m
//
// The programs are copies of this binary, each in its own process. There are several
// kinds (kinds.go): programs that handle no signals, and programs that handle
// signals in each possible way; programs that compute, allocate, start children,
// execute themselves in place, or install and uninstall their manhole from many
// goroutines at once. Stress sends them real signals at random moments: USR2, alone
// and in bursts of thousands, TSTP and CONT, and at the end TERM, INT, HUP, QUIT or
// KILL. At the same time, real clients enter. They run commands, stop commands, send
// garbage, floods and lines without end, read slowly or not at all, disconnect at any
// moment, or belong to another user (sessions.go, stranger.go; only root can start
// clients of another user).
//
// With -builds, the programs are also built in other ways, and run as a library of a C
// program. With -slow, a seccomp supervisor makes their file system slow. With
// -c-handlers, C code in the programs sets its own handlers for TERM, INT and HUP, and
// removes them, at random moments. With -reuse, stress does only one thing: it attacks
// the path of windows with files that get the inode of a dead socket.
//
// Stress prints a line every few seconds, and a table at the end or after Ctrl-C. The
// second part of the table counts failures: leaked goroutines, threads and
// descriptors in programs that live long; exit statuses that differ from those of a
// program without a manhole; answers that do not have the form of their command;
// files left behind; files of others that were removed; signals that opened no window; waits of more than half a minute;
// panics; and data races. If one of these numbers is not zero, stress exits with
// status 1. For each failure it prints the kind of the program, the last things that
// were done with the program, and the end of its standard error. The file with the
// standard error is kept.
//
// With the same seed, stress does the same things in the same order in each program.
// The times depend on the machine.
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
	"sync/atomic"
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
	binary  string // a copy of this binary that every user may run
	tally   *tally

	binaries []string // what the programs run: binary, and those of build
	slow     time.Duration

	cHandlers bool // the programs have C code that handles signals

	reuseRounds int // with -reuse
}

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "program":
			programMain(os.Args[2:])
			return
		case "slowed":
			slowedMain(os.Args[2:])
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
	length := flag.Duration("for", time.Minute, "how long to run, such as 30s, 10m or 2h; programs that are running then are still ended and checked")
	every := flag.Duration("every", 5*time.Second, "the time between two lines of progress, such as 5s or 1m")
	flag.Uint64Var(&s.seed, "seed", 0, "the number that determines what is done; give it to repeat a run; 0: a random one")
	flag.IntVar(&s.workers, "workers", 2*runtime.NumCPU(), "the number of programs that run at the same time")
	flag.StringVar(&s.kinds, "kinds", "", "the kinds of programs, separated by commas; empty: all, which are\n"+strings.Join(kindNames(), ", "))
	builds := flag.String("builds", "", "further ways to build the programs, separated by commas, or all; they are pie, race, static, stripped\nand c-host: a C program that uses Go as a library")
	flag.DurationVar(&s.slow, "slow", 0, "how long each system call of the programs on their sockets' files takes at most, as on a slow file system,\nsuch as 2ms; 0: as long as it takes")
	flag.BoolVar(&s.cHandlers, "c-handlers", false, "let C code in the programs handle TERM, INT and HUP for short times (not in the builds static and c-host); needs gcc")
	flag.IntVar(&s.reuseRounds, "reuse", 0, "do only this: attack the path of windows so often, with files that get the inode of a dead socket\n(reuse.go); needs root, and a file system that uses inodes again, as ext4 does and tmpfs does not")
	flag.Parse()
	if flag.NArg() > 0 || s.workers < 1 {
		fmt.Fprintln(os.Stderr, "stress takes only flags, and at least one worker; see stress -h")
		return 2
	}
	if s.cHandlers && !hasC {
		fmt.Fprintln(os.Stderr, "stress: -c-handlers needs a C compiler; install gcc and set CGO_ENABLED=1")
		return 2
	}
	if s.reuseRounds > 0 && os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "stress: -reuse needs root, since the files belong to another user")
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
	s.binaries = []string{s.binary}
	if err := s.build(*builds); err != nil {
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
			return fmt.Errorf("stress: unknown kind of program %q; the kinds are %s", name, strings.Join(kindNames(), ", "))
		}
		s.choice = append(s.choice, k)
	}
	return nil
}

// settle makes the directory for all files, with a copy of this binary. Other users
// cannot run the binary that go run has made.
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

// work runs the stress, and returns the exit status of the command.
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
		var rounds atomic.Int64
		rounds.Store(int64(s.reuseRounds))
		for i := range s.workers {
			if s.reuseRounds > 0 {
				workers.Go(func() { s.reuse(ctx, i, &rounds) })
			} else {
				workers.Go(func() { s.worker(ctx, i) })
			}
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
		case <-ended: // running programs are still ended and checked; a second Ctrl-C ends stress at once
			stop()
			ended = nil
			continue
		case <-done:
		}
		break
	}
	s.tally.table(os.Stdout)
	if n := s.tally.failures(); n > 0 {
		fmt.Printf("\n%d failures; the output of their programs is in %s\n", n, s.dir)
		return 1
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
