//go:build linux

// Program is a program with a manhole in one of the conditions that a manhole
// has to work in: the first argument names it, and the rest are the condition's
// own. The tests drive it with real signals and real clients. It prints ready
// when it is in the condition.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gomanhole/oneshot"
)

// conditions are the conditions, in files by subject. Each installs its manhole,
// says that it is ready, and returns only if it is to end by the end of main.
var conditions = map[string]func(args []string){}

func main() {
	if len(os.Args) < 2 || conditions[os.Args[1]] == nil {
		names := make([]string, 0, len(conditions))
		for name := range conditions {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "usage: program CONDITION [ARG...]\nThe conditions are %s.\n", strings.Join(names, ", "))
		os.Exit(2)
	}
	conditions[os.Args[1]](os.Args[2:])
}

// install installs a manhole that USR2 opens, at the path that the variable
// MANHOLE_PATH has, if it is set.
func install(change ...func(*oneshot.Options)) *oneshot.Manhole {
	o := oneshot.Options{OneshotOn: syscall.SIGUSR2, SocketPath: os.Getenv("MANHOLE_PATH")}
	for _, f := range change {
		f(&o)
	}
	m, err := oneshot.Install(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return m
}

func ready() { fmt.Println("ready") }

// patience is how long the program waits for something that must happen.
const patience = 30 * time.Second

// await polls until ok returns true. After patience it ends the program with
// what it waited for, and with what it saw last.
func await(what string, ok func() (done bool, saw any)) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		done, saw := ok()
		if done {
			return
		}
		if time.Now().After(deadline) {
			fail(fmt.Errorf("timeout after %v, waited for: %s; saw %v", patience, what, saw))
		}
	}
}
