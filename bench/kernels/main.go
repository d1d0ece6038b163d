//go:build linux

// Kernels measures in how many programs with a real fault the first screen names the
// fault:
//
//	cd bench && go run ./kernels
//	cd bench && go run ./kernels -release go1.27.4 -exam
//
// The faults are the kernels of bugs in cockroach, etcd, grpc and others, and of common
// patterns, with which Go's own tests test the goroutine leak profile. They are read from
// the Go installation when the command runs. Each of them leaves goroutines stuck, amid
// ordinary ones that wait. A kernel counts as named if one of the findings names a line
// of its file. A finding that names none is a false one; one more program has no fault.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// options are the flags of the command.
type options struct {
	release   string
	instances int
	around    int
	held      bool
	exam      bool
	only      *regexp.Regexp
	age       time.Duration
	verbose   bool
	screens   string
}

func main() {
	var o options
	flag.StringVar(&o.release, "release", "go1.26.8", "the release of Go with which the programs are built")
	flag.IntVar(&o.instances, "instances", 1, "how many goroutines get stuck at least")
	flag.IntVar(&o.around, "around", 300, "the number of ordinary goroutines in each program")
	flag.BoolVar(&o.held, "held", false, "have the program keep what is waited for, so that the collector can prove nothing")
	flag.BoolVar(&o.exam, "exam", false, "run the kernels that are kept for the end as well")
	only := flag.String("only", "", "run the kernels whose names match this regular expression")
	flag.DurationVar(&o.age, "age", 75*time.Second, "how long the goroutines have been stuck when they are looked at")
	flag.BoolVar(&o.verbose, "v", false, "print the kernels that are not named")
	flag.StringVar(&o.screens, "screens", "", "an existing folder to write the first screens to")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// result says what the first screen of a program says.
type result struct {
	kernel kernel
	stuck  int
	named  bool
	others []string // false findings
	took   time.Duration
	err    error
}

// atOnce is how many programs are started at the same time.
const atOnce = 8

// run builds the programs, has them get stuck, waits, looks at all, and prints a table.
func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "kernels")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, kernels, err := build(ctx, dir, o.release, o.held)
	if err != nil {
		return err
	}
	chosen := []kernel{healthy}
	for _, k := range kernels {
		if o.only.MatchString(k.name) && (o.exam || !exam.MatchString(k.name)) {
			chosen = append(chosen, k)
		}
	}
	results := make([]result, len(chosen))
	programs := make([]*program, len(chosen))
	defer func() {
		for _, p := range programs {
			if p != nil {
				p.end()
			}
		}
	}()
	var all sync.WaitGroup
	turn := make(chan struct{}, atOnce)
	for i, k := range chosen {
		all.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			results[i].kernel = k
			instances := o.instances
			if k == healthy {
				instances = 0
			}
			programs[i], results[i].err = start(ctx, binary, k, instances, o.around)
		})
	}
	all.Wait()
	select {
	case <-time.After(o.age):
	case <-ctx.Done():
		return ctx.Err()
	}
	for i, p := range programs { // one after the other: the looks are timed
		if p == nil {
			continue
		}
		r := &results[i]
		r.stuck = p.stuck
		var screen string
		if screen, r.took, r.err = p.look(); r.err == nil {
			r.named, r.others = judge(screen, r.kernel.file)
			if o.screens != "" {
				r.err = os.WriteFile(filepath.Join(o.screens, r.kernel.name+".txt"), []byte(screen), 0o600)
			}
		}
	}
	return report(o, results)
}

// report prints the table. It returns an error if a program could not be looked at.
func report(o options, results []result) error {
	named, stuck, falseOnes, failed := 0, 0, 0, 0
	var longest time.Duration
	for _, r := range results {
		switch {
		case r.err != nil:
			failed++
			fmt.Println(r.err)
			continue
		case r.stuck > 0:
			stuck++
		case r.kernel != healthy:
			fmt.Printf("%s left nothing stuck\n", r.kernel.name)
		}
		if r.named {
			named++
		} else if o.verbose && r.stuck > 0 {
			fmt.Printf("not named: %s (%d stuck)\n", r.kernel.name, r.stuck)
		}
		for _, text := range r.others {
			falseOnes++
			fmt.Printf("false finding in %s:\n    %s\n", r.kernel.name, strings.ReplaceAll(text, "\n", "\n    "))
		}
		longest = max(longest, r.took)
	}
	fmt.Println("| release | instances | others | held | kernels | named | false findings | longest first screen |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	fmt.Printf("| %s | %d | %d | %v | %d | %d | %d | %v |\n",
		o.release, o.instances, o.around, o.held, stuck, named, falseOnes, longest.Round(time.Millisecond))
	if failed > 0 {
		return fmt.Errorf("%d of %d programs could not be looked at", failed, len(results))
	}
	return nil
}
