//go:build linux

// Program is a program in one of the conditions in which a manhole has to work, or a
// client of one.
//
//	program CONDITION [ARG...]
//
// It prints ready when it is in the condition. The tests then send it signals and connect
// to its manhole.
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

// conditions holds the conditions. Each file adds those of its subject. A condition
// installs its manhole and prints ready. It returns only if the program shall end with
// main.
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

// install installs a manhole that USR2 opens. The environment variable MANHOLE_PATH sets
// its path.
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

// ready tells the test that the program is in its condition.
func ready() { fmt.Println("ready") }

// patience is how long the program waits for something that must happen.
const patience = 30 * time.Second

// await polls until ok returns true. After patience it ends the program with an error that
// says what it waited for and what it saw last.
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
