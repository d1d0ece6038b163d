//go:build linux

// Diagnosed is a service with one fault, or a healthy one. The tests look at
// what the first screen of its manhole says about it.
//
//	diagnosed [-crowd] NAME        run the fault or the healthy program NAME
//	diagnosed -list faults         print the names of the faults
//	diagnosed -list healthy        print the names of the healthy programs
//	diagnosed -peer NAME [ARG...]  be a backend or the clients of the service
//
// SIGUSR2 opens the manhole at the path in MANHOLE_PATH. The program prints ready
// when the fault has its full effect.
//
// A file fault_SUBJECT.go holds the faults of one kind. The comment GUILTY NAME
// marks the lines that a diagnosis of the fault NAME should report; any one of them
// is enough. The files healthy_SUBJECT.go hold the healthy programs. The other
// files hold what both run beside: the goroutines of an ordinary service.
package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// faults and healthy hold the programs. Each function starts its program, and
// returns when the fault has its full effect, or when a healthy program is busy.
// The files add their own.
var (
	faults  = map[string]func(){}
	healthy = map[string]func(){}
)

func main() {
	crowded := flag.Bool("crowd", false, "run a thousand goroutines beside the program")
	list := flag.String("list", "", "print the names of all `faults` or healthy programs")
	peer := flag.Bool("peer", false, "be the peer NAME of a service")
	flag.Parse()
	name := flag.Arg(0)
	switch {
	case *list == "faults":
		printNames(faults)
	case *list == "healthy":
		printNames(healthy)
	case *peer:
		runPeer(name, flag.Args()[1:])
	case faults[name] != nil:
		run(*crowded, func() {
			startOrdinary()
			faults[name]()
		})
	case healthy[name] != nil:
		run(*crowded, healthy[name])
	default:
		fmt.Fprintf(os.Stderr, "diagnosed: no program %q; diagnosed -list faults and diagnosed -list healthy print the names\n", name)
		os.Exit(2)
	}
}

func printNames(programs map[string]func()) {
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		fmt.Println(name)
	}
}

// run starts a program and then installs its manhole.
func run(crowded bool, start func()) {
	if crowded {
		for range 1000 {
			go func() { crowd() }()
		}
	}
	start()
	_, err := oneshot.Install(oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: os.Getenv("MANHOLE_PATH")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

// crowd is what most goroutines of a large program do.
func crowd() {
	jobs := make(chan int)
	defer hold(jobs)
	select {
	case <-jobs:
	case <-time.After(time.Hour):
	}
}
